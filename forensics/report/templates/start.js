// ---- moving

function point() {
  if (map) {
    for (const [upright, level] of map.spans) {
      upright.location = toX(at.j);
      level.location = at.i + 0.5;
    }
  }
  pointFront();
  if (!curve) return;
  const { detector, cascade } = curve.sources;
  detector.line.data = curvePoints(0);
  detector.mark.data = pointAt(at.i, 0);
  if (!cascade) return;
  const none = { x: [], y: [] }, bar = barred(at);
  cascade.line.data = at.j > 0 ? curvePoints(at.j) : none;
  cascade.mark.data = bar ? none : pointAt(at.i, at.j);
}

function draw() {
  if (width > 1) drawMap();
  drawCurve();
  drawFront();
  point();
}

function move(i, j) {
  Object.assign(at, { i, j });
  write();
  point();
}

// ---- start

for (const part of document.querySelectorAll("#explorer [data-live]")) part.hidden = false;
byId("at-detector").addEventListener("input", (event) => move(Number(event.target.value), at.j));
byId("at-classifier")?.addEventListener("input", (event) => move(at.i, Number(event.target.value)));
byId("explorer-reset").addEventListener("click", () => move(...data.start));
byId("map-figure")?.addEventListener("change", () => { drawMap(); point(); });
byId("front-level")?.addEventListener("change", () => { drawFront(); write(); point(); });
for (const kind of Object.keys(KINDS)) byId(`lines-${kind}`)?.addEventListener("change", arrangeLines);
let settled = 0;
addEventListener("resize", () => {
  clearTimeout(settled);
  settled = setTimeout(arrangeLines, 200);
});
dark.addEventListener("change", () => recolour(false));
addEventListener("beforeprint", toPaper);
addEventListener("afterprint", unpaper);
matchMedia("print").addEventListener("change", ({ matches }) => (matches ? toPaper() : unpaper()));
write();
draw();
