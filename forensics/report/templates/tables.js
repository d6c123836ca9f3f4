// ---- the tables

function fill(cell, value, why, under = "") {
  const span = (name, text) => Object.assign(document.createElement("span"),
    { className: name, textContent: text });
  if (value === null) {
    const dash = span("undef", DASH);
    dash.title = why;
    cell.replaceChildren(dash, span("limits", why));
    return;
  }
  const { figure } = cell.dataset;
  const shown = [span("num", figure ? print[styles[figure].style](value) : value)];
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
  writeEqual();
  const names = [data.detector[at.i], data.classifier[at.j]];
  byId("explorer-point").textContent = pairText(names);
  let command = `${data.command} --detector-threshold ${names[0]}`;
  if (width > 1) command += ` --classifier-threshold ${names[1]}`;
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

// ---- the detector alone at equal recall

const levelKey = () => byId("front-level")?.value ?? Object.keys(data.equal)[0];
const LEVELS = { event: ["incident", "incidents"], frame: ["frame with a target", "frames with a target"] };
const plural = (value, one, many) => `${print.count(value)} ${value === 1 ? one : many}`;

function factor({ alone, own }) {
  if (own > 0) return number(alone / own);
  return alone > 0 ? data.equal_words.none : data.equal_words.neither;
}

function comparedText({ alone, own }) {
  if (own === 0) return factor({ alone, own });
  if (alone === own) return data.equal_words.same;
  return `${number(alone / own)} times as many as the cascade's ${print.count(own)}`;
}

function writeEqual() {
  if (!byId("equal-text")) return;
  const key = levelKey(), found = atEqualRecall(at.i, at.j, key);
  const of = (value) => (found.why ? null : value());
  const share = () => `${print.count(found.hits)} of ${print.count(found.total)}`;
  byId("equal-text").textContent = found.why ? `A comparison at equal recall cannot be made: ${found.why}.`
    : `Detector alone at equal recall (${share()} ${LEVELS[key][1]}): `
      + `${plural(found.alone, "false-alarm frame", "false-alarm frames")}, ${comparedText(found)}.`;
  const cells = {
    threshold: [of(() => found.threshold), data.detector[at.i]],
    recall: [of(() => percent(found.recall)), of(() => percent(found.recall))],
    false: [of(() => print.count(found.alone)), of(() => print.count(found.own))],
    rate: [of(() => number(found.aloneRate)), of(() => number(found.ownRate))],
    factor: [of(() => (found.own > 0 ? factor(found) : null)), of(() => (found.own > 0 ? "1" : null))],
  };
  for (const cell of document.querySelectorAll("#explorer [data-equal]")) {
    const { equal, arm } = cell.dataset;
    fill(cell, cells[equal][arm === "detector" ? 0 : 1], found.why || factor(found));
  }
}
