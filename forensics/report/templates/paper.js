// ---- the charts on paper: light whatever the screen's theme, as pictures that fit the column

function recolour(onPaper) {
  paper = onPaper;
  for (const { inks } of charts.values()) inks.forEach((set) => set());
}

// Painting goes on later, and printing waits for nothing: a picture is painted at once.
function toPaper() {
  unpaper();
  recolour(true);
  try {
    for (const [place, { view }] of charts) {
      if (!view) continue;
      for (const drawn of view.renderer_views.values()) drawn.set_visuals?.(); // up to its first await
      const drawing = view.export("svg").ctx.get_serialized_svg(true);
      const { width: wide, height: high } = view.bbox;
      const picture = Object.assign(document.createElement("img"), { className: "onpaper",
        src: `data:image/svg+xml,${encodeURIComponent(drawing)}`, width: wide, height: high,
        alt: byId(place).getAttribute("aria-label") });
      byId(place).after(picture);
    }
  } finally {
    recolour(false);
  }
}

// Once the medium is the screen again its colours may be read again.
function unpaper() {
  recolour(false);
  for (const picture of document.querySelectorAll("#explorer img.onpaper")) picture.remove();
}
