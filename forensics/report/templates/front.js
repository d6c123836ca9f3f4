// ---- the best of all pairs, and the detector alone at equal recall

function drawFront() {
  if (!byId("front")) return;
  clear("front");
  best = null;
  const key = levelKey(), level = data.equal[key], rate = "frame.false_alarms_per_million";
  const why = !totals.negative ? styles[rate].why : level.total ? "" : data.equal_words.positives;
  if (why) {
    notDrawn("front", why);
    return;
  }
  const perMillion = (frames) => per(1e6, frames, totals.negative);
  const alone = level.hits.map((hits, k) => [perMillion(level.false[k]), hits / level.total]);
  const both = level.front.map(([i, j]) => [perMillion(counts.frame_fp[i * width + j]),
    counts[level.counted][i * width + j] / level.total]);
  const most = perMillion(counts.frame_fp[0]);
  const scale = scaleOf(rate, [...alone, ...both].map(([x]) => x).concat(most));
  const right = scale.high * 1.03 || 1;
  const fig = frame("front", { x_range: [-0.02 * right, right], y_range: [-0.02, 1.04] });
  const arms = { detector: alone, cascade: both };
  for (const [arm, points] of Object.entries(arms)) {
    const source = sourceOf(staircase(points, scale, right));
    drawArm("front", fig.step({ ...fields("x", "y"), source, mode: "after" }), arm);
  }
  best = { scale, sources: {} };
  best.sources.link = sourceOf({ x: [], y: [] });
  const link = fig.line({ ...fields("x", "y"), source: best.sources.link, line_width: 1.5 });
  ink("front", link.glyph, { line_color: "--ink" });
  for (const arm of Object.keys(arms)) {
    best.sources[arm] = sourceOf({ x: [], y: [] });
    drawMark("front", fig, best.sources[arm], arm);
  }
  best.sources.label = sourceOf({ x: [], y: [], text: [], y_offset: [], text_align: [] });
  const label = fig.text({ ...fields("x", "y", "text", "y_offset", "text_align"),
    source: best.sources.label, text_baseline: "middle", text_font_size: "12px",
    text_font_style: "bold", padding: [1, 4], border_radius: 3 });
  ink("front", label.glyph, { text_color: "--ink", background_fill_color: "--bg" });
  axis("front", fig.xaxis, fig.xgrid, roomy(scale.ticks, right, "front"), "false-alarm frames per million");
  axis("front", fig.yaxis, fig.ygrid, SHARES, `recall of ${key === "event" ? "incidents" : "frames"}`);
  show("front");
}

// The best recall within each budget of false alarms: points (rate, recall) as steps.
function staircase(points, scale, right) {
  const steps = { x: [0], y: [0] };
  const sorted = [...points].sort(([a, b], [c, d]) => a - c || d - b);
  for (const [rate, recall] of sorted) {
    if (recall <= steps.y.at(-1)) continue;
    steps.x.push(scale.to(rate));
    steps.y.push(recall);
  }
  steps.x.push(right);
  steps.y.push(steps.y.at(-1));
  return steps;
}

// The chosen pair, the detector alone at the same recall, and the line from one to the other.
function pointFront() {
  if (!best) return;
  const { cascade, detector, link, label } = best.sources, none = { x: [], y: [] };
  const key = levelKey(), level = data.equal[key], found = atEqualRecall(at.i, at.j, key);
  const y = counts[level.counted][at.i * width + at.j] / level.total;
  const own = best.scale.to(per(1e6, counts.frame_fp[at.i * width + at.j], totals.negative));
  cascade.data = barred(at) ? none : { x: [own], y: [y] };
  byId("front").setAttribute("aria-label", frontText(found, key));
  if (found.why) {
    detector.data = link.data = none;
    label.data = { ...none, text: [], y_offset: [], text_align: [] };
    return;
  }
  const alone = best.scale.to(found.aloneRate), middle = (own + alone) / 2;
  const side = middle < 0.2 * best.scale.high ? "left" : middle > 0.8 * best.scale.high ? "right" : "center";
  detector.data = { x: [alone], y: [y] };
  link.data = { x: [own, alone], y: [y, y] };
  label.data = { x: [middle], y: [y], text: [found.own > 0 ? `\u00d7 ${factor(found)}` : ""],
    y_offset: [y > 0.5 ? 17 : -17], text_align: [side] };
}

function frontText(found, key) {
  const chart = "The best recall at each rate of false alarms, for all pairs of thresholds and for the detector alone.";
  if (found.why) return `${chart} At the chosen pair no comparison at equal recall: ${found.why}.`;
  return `${chart} At the chosen pair the cascade finds ${percent(found.recall)} of ${LEVELS[key][1]} at `
    + `${number(found.ownRate)} false-alarm frames per million; the detector alone at equal recall is at `
    + `${number(found.aloneRate)}.`;
}
