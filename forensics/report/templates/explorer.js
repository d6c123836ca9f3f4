// The explorer: looks up exact counts at a pair of thresholds, and divides them as `evaluate` does.
"use strict";
(() => {
const data = JSON.parse(document.getElementById("surfaces").textContent);
const totals = data.totals, width = data.classifier.length, height = data.detector.length;
const counts = Object.fromEntries(Object.entries(data.counts).map(([name, steps]) => {
  let sum = 0;
  return [name, steps.map((step) => (sum += step))];
}));
const styles = Object.fromEntries(data.lines.map(([key, style, why]) => [key, { style, why }]));
const at = { i: data.start[0], j: data.start[1] };
const byId = (id) => document.getElementById(id);

// ---- figures: null is undefined

const ratio = (part, whole) => (whole > 0 ? part / whole : null);
const per = (factor, part, whole) => (whole > 0 ? (part / whole) * factor : null);

function figures(i, j) {
  const n = (name) => counts[name][i * width + j];
  const boxes = totals.box_frames > 0, frames = totals.positive + totals.negative > 0;
  // Incidents without boxes say nothing on boxes: no count there is no zero.
  const targets = boxes && !(totals.targets === 0 && totals.positive > 0);
  const events = totals.timed > 0 || totals.incidents > 0;
  const known = (is, value) => (is ? value : null);
  const trueAlerts = n("alerts") - n("false_alerts") - n("unverified_alerts");
  const perHour = per(1, n("false_alerts"), totals.hours);
  return {
    "frame.tp": known(frames, n("frame_tp")),
    "frame.fp": known(frames, n("frame_fp")),
    "frame.fn": known(frames, totals.positive - n("frame_tp")),
    "frame.tn": known(frames, totals.negative - n("frame_fp")),
    "frame.recall": ratio(n("frame_tp"), totals.positive),
    "frame.precision": ratio(n("frame_tp"), n("frame_tp") + n("frame_fp")),
    "frame.false_alarms_per_million": per(1e6, n("frame_fp"), totals.negative),
    "frame.localised.recall": ratio(n("localised_tp"), totals.localised),
    "event.detected": known(events, n("detected")),
    "event.recall": ratio(n("detected"), totals.incidents),
    "event.alerts": known(events, n("alerts")),
    "event.false_alerts": known(events, n("false_alerts")),
    "event.precision": ratio(trueAlerts, trueAlerts + n("false_alerts")),
    "event.false_alerts_per_camera_hour": perHour,
    "event.false_alerts_per_camera_day": perHour === null ? null : perHour * 24,
    "box.tp": known(targets, n("box_tp")),
    "box.fp": known(boxes, n("box_fp")),
    "box.fn": known(targets, totals.targets - n("box_tp")),
    "box.recall": targets ? ratio(n("box_tp"), totals.targets) : null,
    "box.precision": targets ? ratio(n("box_tp"), n("box_tp") + n("box_fp")) : null,
    "box.false_alarms_per_million": per(1e6, n("box_fp"), totals.box_frames),
  };
}

function removal(i, j) {
  const fall = (name) => counts[name][i * width] - counts[name][i * width + j];
  const alone = figures(i, 0);
  const where = (key, value) => (alone[key] === null ? null : value);
  return {
    "removal.frame.fp_removed": where("frame.false_alarms_per_million", fall("frame_fp")),
    "removal.frame.tp_lost": where("frame.recall", fall("frame_tp")),
    "removal.event.fp_removed": where("event.false_alerts_per_camera_hour", fall("false_alerts")),
    "removal.event.tp_lost": where("event.recall", fall("detected")),
    "removal.box.fp_removed": where("box.false_alarms_per_million", fall("box_fp")),
    "removal.box.tp_lost": where("box.recall", fall("box_tp")),
  };
}

// ---- wording: the same as in the rest of the page, which Python wrote

const DASH = "\u2013", NBSP = "\u00a0";

// Digits after the point, ties to even as in Python; toFixed is exact but rounds ties up.
function fixed(value, digits) {
  const rounded = value.toFixed(digits), exact = value.toFixed(Math.min(100, digits + 60));
  const cut = exact.length - Math.min(100 - digits, 60);
  const half = /^50*$/.test(exact.slice(cut)), kept = exact.slice(0, cut).replace(/\.$/, "");
  return half && Number(kept.at(-1)) % 2 === 0 ? kept : rounded;
}

const grouped = (text) => {
  const [whole, ...rest] = text.split(".");
  return [whole.replace(/\B(?=(\d{3})+(?!\d))/g, ","), ...rest].join(".");
};

// Significant digits as Python's g: no trailing zeros, an exponent below 1e-4.
function significant(value, digits) {
  const exponent = Number(value.toExponential(digits - 1).split("e")[1]);
  const bare = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);
  if (exponent >= -4) return bare(fixed(value, Math.max(0, digits - 1 - exponent)));
  const mantissa = value.toExponential(digits - 1).split("e")[0];
  return `${bare(mantissa)}e-${String(-exponent).padStart(2, "0")}`;
}

function percent(share) {
  const value = 100 * share;
  if (value > 0 && value < 0.1) return `${significant(value, 2)}${NBSP}%`;
  if (value > 99.9 && value < 100) return `${fixed(Math.floor(value * 100) / 100, 2)}${NBSP}%`;
  return `${fixed(value, 1)}${NBSP}%`;
}

function number(value) {
  if (Math.abs(value) >= 100) return grouped(fixed(value, 0));
  return value ? significant(value, 3) : "0";
}

const print = { share: percent, rate: number, count: (value) => grouped(fixed(value, 0)) };

// ---- the tables

function fill(cell, value, why, under = "") {
  const span = (name, text) => Object.assign(document.createElement("span"),
    { className: name, textContent: text });
  const key = cell.dataset.figure;
  if (value === null) {
    const dash = span("undef", DASH);
    dash.title = why;
    cell.replaceChildren(dash, span("limits", why));
    return;
  }
  const shown = [span("num", print[styles[key].style](value))];
  if (under) shown.push(span("limits", under));
  cell.replaceChildren(...shown);
}

// What stands below a figure: the number behind a share of few, or an interval.
function below(key, value, i, j) {
  if (key === "event.recall" && value !== null) {
    return `${print.count(counts.detected[i * width + j])} of ${print.count(totals.incidents)}`;
  }
  if (key !== "frame.false_alarms_per_million" || data.limits === null) return "";
  const place = i * width + j, high = data.limits.high[place];
  if (value === null || high === null) return "";
  return value === 0 ? `at most ${number(high)}`
    : `${number(data.limits.low[place])} to ${number(high)}`;
}

// Why the cascade has no figure at all here, or nothing.
function barred({ i, j }) {
  if (j === 0) return data.off;
  return i < data.gate ? data.unclassified : "";
}

function write() {
  const bar = barred(at), ledger = removal(at.i, at.j);
  const arms = { detector: [figures(at.i, 0), 0], cascade: [figures(at.i, at.j), at.j] };
  for (const cell of document.querySelectorAll("#explorer [data-figure]")) {
    const { figure, arm } = cell.dataset, why = styles[figure].why;
    if (arm === "removal" || arm === "cascade") {
      if (bar) { fill(cell, null, bar); continue; }
    }
    if (arm === "removal") { fill(cell, ledger[figure], why); continue; }
    const [found, column] = arms[arm], value = found[figure];
    fill(cell, value, why, below(figure, value, at.i, column));
  }
  const names = [data.detector[at.i], data.classifier[at.j]];
  byId("explorer-point").textContent = pairText(names);
  let command = `forensics evaluate RUN --truth TRUTH --detector-threshold ${names[0]}`;
  if (at.j > 0) command += ` --classifier-threshold ${names[1]}`;
  byId("explorer-command").textContent = command;
  for (const [name, value, text] of [["detector", at.i, names[0]], ["classifier", at.j, names[1]]]) {
    const slider = byId(`at-${name}`);
    if (!slider) continue;
    slider.value = value;
    slider.setAttribute("aria-valuetext", text);
    byId(`${name}-value`).textContent = text;
  }
}

const pairText = ([detector, classifier]) => `detector threshold ${detector}`
  + (width > 1 ? `, classifier ${classifier === "off" ? "off" : `threshold ${classifier}`}` : "");

// ---- the charts

const { Plotting: plotting } = Bokeh, { ndarray } = Bokeh.require("core/util/ndarray");
Bokeh.logger.set_level("error");
const GAP = 0.6; // between the column without a classifier and the others
const dark = matchMedia("(prefers-color-scheme: dark)");
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const toX = (j) => (j === 0 ? 0.5 : j + 0.5 + GAP);
const fromX = (x) => (x < 1 + GAP / 2 ? 0 : Math.max(1, Math.floor(x - GAP)));
let map = null, curve = null;

// Rates reach from zero over powers of ten: linear up to the least that can occur, then a log.
function scaleOf(key, values) {
  const found = values.filter((value) => value !== null);
  if (styles[key].style === "share") {
    const ticks = [0, 0.2, 0.4, 0.6, 0.8, 1];
    return { low: 0, high: 1, to: (v) => v, ticks: new Map(ticks.map((v) => [v, percent(v)])), turned: false };
  }
  const least = Math.min(...found.filter((v) => v > 0), 1e6), most = Math.max(...found, least);
  const to = (value) => Math.log10(1 + value / least);
  const ticks = new Map([[0, "0"]]);
  for (let e = Math.ceil(Math.log10(least)); 10 ** e <= most; e += 1) ticks.set(to(10 ** e), number(10 ** e));
  return { low: 0, high: to(most), to, ticks, turned: true };
}

// Evenly placed tick labels of a threshold axis.
function ticksOf(names, place, most) {
  const step = Math.max(1, Math.ceil(names.length / most)), ticks = new Map();
  for (let k = 0; k < names.length; k += step) ticks.set(place(k), names[k]);
  return ticks;
}

function axis(model, grid, ticks, label) {
  const ticker = new Bokeh.FixedTicker({ ticks: [...ticks.keys()] });
  Object.assign(grid, { ticker, grid_line_color: css("--line") });
  model.ticker = ticker;
  model.major_label_overrides = ticks;
  Object.assign(model, {
    axis_label: label, axis_label_text_font_style: "normal", axis_label_text_color: css("--soft"),
    major_label_text_color: css("--soft"), axis_label_text_font_size: "12px",
    major_label_text_font_size: "11px", axis_line_color: null, major_tick_line_color: css("--line"),
    minor_tick_line_color: null,
  });
}

function frame(options) {
  return plotting.figure({
    height: 340, sizing_mode: "stretch_width", min_width: 200, tools: [], toolbar_location: null,
    background_fill_color: null, border_fill_color: null, outline_line_color: null, ...options,
  });
}

function drawMap() {
  const key = byId("map-figure").value, values = [];
  for (let i = 0; i < height; i += 1) {
    for (let j = 0; j < width; j += 1) values.push(i < data.gate && j > 0 ? null : figures(i, j)[key]);
  }
  const place = byId("map");
  place.replaceChildren();
  map = null;
  if (values.every((value) => value === null)) {
    place.append(Object.assign(document.createElement("p"),
      { className: "nopic", textContent: `Not drawn: ${styles[key].why}.` }));
    return;
  }
  const scale = scaleOf(key, values), palette = Bokeh.Palettes.cividis(128);
  const mapper = new Bokeh.LinearColorMapper({
    palette: scale.turned ? [...palette].reverse() : palette,
    low: scale.low, high: scale.high, nan_color: css("--faint"),
  });
  const fig = frame({ x_range: [0, width + GAP], y_range: [0, height] });
  const part = (from, to, x) => {
    const cells = new Float64Array(height * (to - from));
    for (let i = 0; i < height; i += 1) {
      for (let j = from; j < to; j += 1) {
        const value = values[i * width + j];
        cells[i * (to - from) + j - from] = value === null ? NaN : scale.to(value);
      }
    }
    const source = new Bokeh.ColumnDataSource({ data: {
      image: [ndarray(cells, { dtype: "float64", shape: [height, to - from] })],
      x: [x], y: [0], dw: [to - from], dh: [height],
    } });
    const field = (name) => ({ field: name });
    fig.image({ image: field("image"), x: field("x"), y: field("y"), dw: field("dw"),
      dh: field("dh"), color_mapper: mapper, source });
  };
  part(0, 1, 0);
  part(1, width, 1 + GAP);
  const span = (dimension, color, line_width) => {
    const line = new Bokeh.Span({ dimension, location: 0, line_color: color, line_width });
    fig.add_layout(line);
    return line;
  };
  const under = ["height", "width"].map((dimension) => span(dimension, "#000000", 4));
  const over = ["height", "width"].map((dimension) => span(dimension, "#ffffff", 1.5));
  fig.xgrid.visible = fig.ygrid.visible = false;
  const most = place.clientWidth < 420 ? 4 : 6;
  axis(fig.xaxis, fig.xgrid, ticksOf(data.classifier, toX, most), "classifier threshold");
  axis(fig.yaxis, fig.ygrid, ticksOf(data.detector, (i) => i + 0.5, 9), "detector threshold");
  const bar = new Bokeh.ColorBar({
    color_mapper: mapper, ticker: new Bokeh.FixedTicker({ ticks: [...scale.ticks.keys()] }),
    major_label_overrides: scale.ticks, background_fill_color: null, width: 10, padding: 4,
    major_label_text_color: css("--soft"), major_label_text_font_size: "11px",
    major_tick_line_color: null, bar_line_color: null,
  });
  fig.add_layout(bar, "right");
  fig.on_event("tap", ({ x, y }) => {
    if (x < 0 || y < 0 || x > width + GAP || y > height) return;
    move(Math.min(height - 1, Math.floor(y)), Math.min(width - 1, fromX(x)));
  });
  plotting.show(fig, place);
  map = { spans: [under, over] };
}

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

function drawCurve() {
  const place = byId("trade"), rate = "frame.false_alarms_per_million";
  place.replaceChildren();
  curve = null;
  const all = [];
  for (let i = 0; i < height; i += 1) all.push(figures(i, 0)[rate]);
  const why = totals.negative > 0 ? (totals.positive > 0 ? "" : styles["frame.recall"].why) : styles[rate].why;
  if (why) {
    place.append(Object.assign(document.createElement("p"),
      { className: "nopic", textContent: `Not drawn: ${why}.` }));
    return;
  }
  const scale = scaleOf(rate, all), right = scale.high * 1.03 || 1;
  const fig = frame({ x_range: [-0.02 * right, right], y_range: [-0.02, 1.03] });
  curve = { scale, sources: {} };
  const arms = width > 1 ? ["detector", "cascade"] : ["detector"];
  for (const arm of arms) {
    const color = css(`--${arm}`), line = new Bokeh.ColumnDataSource({ data: { x: [], y: [] } });
    const mark = new Bokeh.ColumnDataSource({ data: { x: [], y: [] } });
    const xy = { x: { field: "x" }, y: { field: "y" } };
    fig.line({ ...xy, source: line, line_color: color, line_width: 2,
      line_dash: arm === "detector" ? [5, 3] : [] });
    fig.scatter({ ...xy, source: mark, marker: arm === "detector" ? "square" : "circle", size: 11,
      fill_color: color, line_color: css("--ink") });
    curve.sources[arm] = { line, mark };
  }
  axis(fig.xaxis, fig.xgrid, scale.ticks, "false-alarm frames per million");
  axis(fig.yaxis, fig.ygrid, new Map([0, 0.2, 0.4, 0.6, 0.8, 1].map((v) => [v, percent(v)])), "recall of frames");
  plotting.show(fig, place);
}

function point() {
  if (map) {
    for (const [upright, level] of map.spans) {
      upright.location = toX(at.j);
      level.location = at.i + 0.5;
    }
  }
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
dark.addEventListener("change", draw);
write();
draw();
})();
