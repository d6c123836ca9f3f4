// ---- lines of equal recall and of equal false alarms on the map

const KINDS = {
  recall: { line: "#ffffff", halo: "#000000", dash: "solid", first: 0.3 },
  false: { line: "#000000", halo: "#ffffff", dash: "5 3", first: 0.62 },
};
const LABEL_HEIGHT = 15, PADDING = 8; // pixels

const wanted = (kind) => byId(`lines-${kind}`)?.checked ?? false;

function drawLines(fig) {
  const drawn = {};
  for (const [kind, { line, halo, dash }] of Object.entries(KINDS)) {
    const found = data.contours.filter(({ of }) => of === kind);
    const paths = found.flatMap(({ paths }) => paths.map(pointsOf));
    const source = sourceOf({ xs: paths.map((path) => path.map(([x]) => x)),
      ys: paths.map((path) => path.map(([, y]) => y)) });
    const under = fig.multi_line({ ...fields("xs", "ys"), source, line_color: halo, line_width: 3,
      line_alpha: 0.75, line_join: "round" });
    const over = fig.multi_line({ ...fields("xs", "ys"), source, line_color: line, line_width: 1.3,
      line_dash: dash, line_join: "round" });
    const names = sourceOf({ x: [], y: [], text: [] });
    const labels = fig.text({ ...fields("x", "y", "text"), source: names, text_align: "center",
      text_baseline: "middle", text_font_size: "11px", text_font_style: "bold", text_color: line,
      background_fill_color: halo, padding: [1, 3], border_radius: 3 });
    labels.level = "overlay"; // above the cross
    drawn[kind] = { found, names, shown: [under, over, labels] };
  }
  return drawn;
}

// A path in the map's own units: a pair stands in the middle of its cell.
function pointsOf(path) {
  const points = [];
  for (let k = 0; k < path.length; k += 2) points.push([toX(path[k]), path[k + 1] + 0.5]);
  return points;
}

// Labels where none lies on another, and few on other lines, in the room that the map has now.
function arrangeLines() {
  if (!map) return;
  const room = byId("map").clientWidth - 140, unit = { x: room / (width + GAP), y: 280 / height };
  const pixels = (path) => pointsOf(path).map(([x, y]) => [x * unit.x, y * unit.y]);
  const drawn = Object.values(map.lines).flatMap(({ found }) => found)
    .filter(({ of }) => wanted(of)).map((line) => ({ ...line, ways: line.paths.map(pixels) }));
  const taken = [], columns = {};
  for (const kind of Object.keys(KINDS)) columns[kind] = { x: [], y: [], text: [] };
  for (const line of drawn) {
    const spot = freeSpot(line, drawn, taken, [(width + GAP) * unit.x, height * unit.y]);
    taken.push(spot);
    const { x, y, text } = columns[line.of];
    x.push(spot.x / unit.x);
    y.push(spot.y / unit.y);
    text.push(line.label);
  }
  for (const [kind, { names, shown }] of Object.entries(map.lines)) {
    for (const renderer of shown) renderer.visible = wanted(kind);
    names.data = columns[kind];
  }
}

function freeSpot(line, drawn, taken, [right, top]) {
  const way = line.ways.reduce((a, b) => (b.length > a.length ? b : a), []);
  const half = { x: (line.label.length * LETTER + PADDING) / 2, y: LABEL_HEIGHT / 2 };
  const others = drawn.filter((other) => other !== line).flatMap(({ ways }) => ways).flat();
  let found = null;
  way.forEach(([onX, onY], k) => {
    const x = Math.min(Math.max(onX, half.x), right - half.x); // at the edge beside its line
    const y = Math.min(Math.max(onY, half.y), top - half.y);
    const covers = (other, more) => Math.abs(x - other.x) < half.x + more.x && Math.abs(y - other.y) < half.y + more.y;
    const clash = taken.some((label) => covers(label, { x: label.half.x + 2, y: label.half.y + 2 }));
    const hidden = others.filter(([a, b]) => covers({ x: a, y: b }, { x: 1, y: 1 })).length;
    const cost = hidden + 10 * Math.abs(k / way.length - KINDS[line.of].first) + (clash ? 1000 : 0);
    if (!found || cost < found.cost) found = { x, y, half, cost };
  });
  return found;
}
