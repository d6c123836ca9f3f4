// False alarms by place or by look: the same cards under other headings.
"use strict";
(() => {
const choice = document.getElementById("grouping");
if (!choice) return;
const byPlace = document.getElementById("by-place"), byLook = document.getElementById("by-look");
const cards = [...byPlace.querySelectorAll("li[data-look]")];
const home = cards.map((card) => card.parentElement);
const rank = (card) => cards.indexOf(card);
choice.hidden = false;
choice.addEventListener("change", (event) => {
  const look = event.target.value === "look";
  for (const part of byLook.querySelectorAll("[data-of]")) {
    const mine = cards.filter((card) => card.dataset.look === part.dataset.of);
    if (look) part.querySelector("ul").append(...mine.sort((a, b) => b.dataset.sure - a.dataset.sure || rank(a) - rank(b)));
  }
  if (!look) cards.forEach((card, n) => home[n].append(card));
  byLook.hidden = !look;
  byPlace.hidden = look;
});
})();
