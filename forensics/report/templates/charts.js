// ---- the charts

const { Plotting: plotting } = Bokeh, { ndarray } = Bokeh.require("core/util/ndarray");
Bokeh.logger.set_level("error");
const LETTER = 6.4; // pixels
const GAP = 0.6; // between the column without a classifier and the others
const dark = matchMedia("(prefers-color-scheme: dark)");
const charts = new Map(); // by the id of their place: the model, its view when there is one, its inks
let paper = false; // while colours are those of the printed page
const css = (name) => getComputedStyle(paper ? byId("paper") : document.documentElement)
  .getPropertyValue(name).trim();
const toX = (j) => (j === 0 ? 0.5 : j + 0.5 + GAP);
const fromX = (x) => (x < 1 + GAP / 2 ? 0 : Math.max(1, Math.floor(x - GAP)));
let map = null, curve = null, best = null;

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

// The ticks whose labels have room beside one another, on an axis from 0 that spans a chart.
function roomy(ticks, most, place) {
  const unit = (byId(place).clientWidth - 80) / most, kept = new Map();
  let end = -Infinity;
  for (const [where, label] of ticks) {
    const half = (label.length * LETTER) / 2;
    if (where * unit - half < end + 6) continue;
    kept.set(where, label);
    end = where * unit + half;
  }
  return kept;
}

// Colours that follow the theme: set now, and again when the page is printed.
function ink(place, model, names) {
  const set = () => {
    for (const [key, name] of Object.entries(names)) model[key] = css(name);
  };
  charts.get(place).inks.push(set);
  set();
}

function axis(place, model, grid, ticks, label) {
  const ticker = new Bokeh.FixedTicker({ ticks: [...ticks.keys()] });
  Object.assign(grid, { ticker });
  ink(place, grid, { grid_line_color: "--line" });
  model.ticker = ticker;
  model.major_label_overrides = ticks;
  Object.assign(model, {
    axis_label: label, axis_label_text_font_style: "normal", axis_label_text_font_size: "12px",
    major_label_text_font_size: "11px", axis_line_color: null, minor_tick_line_color: null,
  });
  ink(place, model, { axis_label_text_color: "--soft", major_label_text_color: "--soft",
    major_tick_line_color: "--line" });
}

// An empty figure in a place; `show` puts it there once it is complete.
function frame(place, options) {
  const fig = plotting.figure({
    height: 340, sizing_mode: "stretch_width", min_width: 200, tools: [], toolbar_location: null,
    background_fill_color: null, border_fill_color: null, outline_line_color: null, min_border_right: 16,
    ...options,
  });
  charts.set(place, { fig, view: null, inks: [] });
  return fig;
}

async function show(place) {
  const chart = charts.get(place);
  chart.view = await plotting.show(chart.fig, byId(place));
}

function clear(place) {
  charts.delete(place);
  byId(place).replaceChildren();
}

function notDrawn(place, why) {
  byId(place).append(Object.assign(document.createElement("p"),
    { className: "nopic", textContent: `Not drawn: ${why}.` }));
}

const sourceOf = (columns) => new Bokeh.ColumnDataSource({ data: columns });
const fields = (...names) => Object.fromEntries(names.map((name) => [name, { field: name }]));
