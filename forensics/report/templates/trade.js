// ---- recall against false alarms over the detector threshold

function curvePoints(j) {
  const x = [], y = [];
  for (let i = j > 0 ? data.gate : 0; i < height; i += 1) {
    const found = figures(i, j);
    x.push(curve.scale.to(found["frame.false_alarms_per_million"]));
    y.push(found["frame.recall"]);
  }
  return { x, y };
}

function pointAt(i, j) {
  const found = figures(i, j);
  return { x: [curve.scale.to(found["frame.false_alarms_per_million"])], y: [found["frame.recall"]] };
}

const SHARES = new Map([0, 0.2, 0.4, 0.6, 0.8, 1].map((v) => [v, percent(v)]));

// The arms differ in dash and marker as well as in colour.
function drawArm(place, renderer, arm) {
  Object.assign(renderer.glyph, { line_width: 2, line_dash: arm === "detector" ? [5, 3] : [] });
  ink(place, renderer.glyph, { line_color: `--${arm}` });
}

function drawMark(place, fig, source, arm) {
  const marker = arm === "detector" ? "square" : "circle";
  const { glyph } = fig.scatter({ ...fields("x", "y"), source, marker, size: 11 });
  ink(place, glyph, { fill_color: `--${arm}`, line_color: "--ink" });
}

function drawCurve() {
  const rate = "frame.false_alarms_per_million";
  clear("trade");
  curve = null;
  const all = [];
  for (let i = 0; i < height; i += 1) all.push(figures(i, 0)[rate]);
  const why = totals.negative > 0 ? (totals.positive > 0 ? "" : styles["frame.recall"].why) : styles[rate].why;
  if (why) {
    notDrawn("trade", why);
    return;
  }
  const scale = scaleOf(rate, all), right = scale.high * 1.03 || 1;
  const fig = frame("trade", { x_range: [-0.02 * right, right], y_range: [-0.02, 1.03] });
  curve = { scale, sources: {} };
  const arms = width > 1 ? ["detector", "cascade"] : ["detector"];
  for (const arm of arms) {
    const line = sourceOf({ x: [], y: [] }), mark = sourceOf({ x: [], y: [] });
    drawArm("trade", fig.line({ ...fields("x", "y"), source: line }), arm);
    drawMark("trade", fig, mark, arm);
    curve.sources[arm] = { line, mark };
  }
  axis("trade", fig.xaxis, fig.xgrid, roomy(scale.ticks, right, "trade"), "false-alarm frames per million");
  axis("trade", fig.yaxis, fig.ygrid, SHARES, "recall of frames");
  show("trade");
}
