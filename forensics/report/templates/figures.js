// The explorer: looks up exact counts at a pair of thresholds, and divides them as `evaluate` does.

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

// Where the detector alone finds as much as the pair: its threshold and false alarms there; or why not.
function atEqualRecall(i, j, key) {
  const level = data.equal[key], hits = counts[level.counted][i * width + j];
  const bar = barred({ i, j });
  if (bar) return { why: bar };
  if (!level.total) return { why: data.equal_words.positives };
  if (!hits) return { why: data.equal_words.nothing };
  if (!totals.negative) return { why: styles["frame.false_alarms_per_million"].why };
  const place = level.hits.indexOf(hits), alone = level.false[place];
  const own = counts.frame_fp[i * width + j], rate = (frames) => per(1e6, frames, totals.negative);
  return { why: "", hits, total: level.total, recall: hits / level.total, alone, own,
    threshold: level.thresholds[place], aloneRate: rate(alone), ownRate: rate(own) };
}

// Why the cascade has no figure at all here, or nothing.
function barred({ i, j }) {
  if (j === 0) return data.off;
  return i < data.gate ? data.unclassified : "";
}
