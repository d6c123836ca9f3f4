"""The verdict in plain words: what the figures say, and what they cannot say."""

from __future__ import annotations

from forensics.report.comparison import scoreboard
from forensics.report.examined import Examined
from forensics.report.model import Verdict
from forensics.report.planted import Planted
from forensics.report.quantities import Figures, Footnotes
from forensics.report.wording import count, number, percent, plural, sentence, threshold

NO_PROOF = (
    "No alarm is no proof that nothing is there: the models miss targets, and frames that were "
    "not examined were not judged."
)


def judge(result: Figures, planted: Planted, examined: Examined, notes: Footnotes) -> Verdict:
    """The verdict of an evaluation (its JSON)."""
    arms = result["arms"]
    sentences = [_alarms(arms, result["rules"]["confidence"]), _found(arms, planted)]
    if arms["cascade"] is not None:
        sentences += [
            _same_recall(result["matched_recall"]),
            _same_alarms(result["matched_false_alarms"], planted),
        ]
    caveats = [*_unfinished(examined), *result["notes"], NO_PROOF]
    return Verdict(
        headline=_headline(result, planted),
        subline=_subline(result, planted),
        sentences=tuple(sentence(text) for text in sentences if text),
        scoreboard=scoreboard(arms, planted, notes),
        caveats=tuple(sentence(text) for text in caveats),
        planted=_planted(planted),
    )


def report_without_truth(
    n_incidents: int, n_files: int, n_removed: int, examined: Examined
) -> Verdict:
    """What an investigator is told first."""
    looked = f"{plural(examined.n_files, 'file')} offered"
    if examined.hours_examined:
        looked += f", {examined.hours_examined} examined"
    if n_incidents:
        headline = f"{plural(n_incidents, 'incident')} in {plural(n_files, 'file')}"
    else:
        headline = "No incident at these thresholds"
    sentences = [f"{looked}. An incident is a run of alarms that are close in time"]
    if n_removed:
        sentences.append(
            f"The classifier set aside {plural(n_removed, 'box', 'boxes')} that the detector "
            "alone would have reported; they are listed below the incidents"
        )
    caveats = [
        *_unfinished(examined),
        NO_PROOF,
        "An incident is what the models took for a target. Whether it is one is for a person to "
        "say.",
        "Without truth labels nothing can be said here on how often the models are right.",
    ]
    said, unsaid = (tuple(map(sentence, texts)) for texts in (sentences, caveats))
    return Verdict(headline, "", said, (), unsaid)


def _unfinished(examined: Examined) -> list[str]:
    if examined.complete:
        return []
    return ["the scan has not come to its end: this report covers only what was committed"]


def _planted(planted: Planted) -> str:
    if not planted.any:
        return ""
    parts = []
    for name, (part, whole) in (
        ("incidents", planted.incidents),
        ("frames with a target", planted.frames),
    ):
        if whole:
            parts.append(f"{count(part)} of {count(whole)} {name}")
    return (
        f"Planted positives: in {' and '.join(parts)} a computer put the target into the footage. "
        "Recall on planted targets is not recall on real ones."
    )


def _word(planted: Planted, level: str) -> str:
    """` (planted)`, to stand after what is counted; empty where nothing is planted."""
    word = planted.word(level)
    return f" ({word})" if word else ""


def _headline(result: Figures, planted: Planted) -> str:
    """Gain and loss of the classifier in one breath, as far as they are known."""
    arms = result["arms"]
    frame, rate = arms["detector"]["frame"], arms["detector"]["frame"]["false_alarms_per_million"]
    if rate["value"] is None:
        return "How many alarms are false cannot be said: no labelled frame is without a target."
    if arms["cascade"] is None:
        return f"The detector alone raises {number(rate['value'])} false-alarm frames per million."
    removed = result["removal"]["frame"]
    if frame["fp"]:
        text = (
            f"The classifier removes {count(removed['fp_removed'])} of "
            f"{plural(frame['fp'], 'false-alarm frame')}"
        )
    else:
        text = "The detector alone raises no false alarm, so that the classifier can remove none"
    if frame["recall"] is None:
        return f"{text}; what it loses cannot be said: no labelled frame has a target."
    if not frame["tp"]:
        return f"{text}; there is no true alarm that it could lose."
    lost = f"{count(removed['tp_lost'])} of {plural(frame['tp'], 'true alarm frame')}"
    return f"{text} and loses {lost}{_word(planted, 'frame')}."


def _subline(result: Figures, planted: Planted) -> str:
    """The fair comparison: the detector alone at the cascade's recall."""
    matched = result["matched_recall"]
    if matched is None or matched["undefined"]:
        return ""
    alone, cascade = matched["detector"], matched["cascade"]
    if cascade["false_alarms_per_million"] is None:
        return ""
    if matched["level"] == "event":
        what = f"the same number of incidents, {count(cascade['incidents_detected'])}"
    else:
        what = "as many frames with a target"
    what += _word(planted, matched["level"])
    text = (
        f"To find {what}, the detector alone, its threshold set to "
        f"{threshold(matched['detector_threshold'])}, would raise "
        f"{plural(alone['false_alarm_frames'], 'false-alarm frame')} where the cascade raises "
        f"{count(cascade['false_alarm_frames'])}"
    )
    return f"{text}{_ratio(matched['false_alarm_ratio_interval'])}."


def _ratio(interval: Figures) -> str:
    """The ratio with its limits over cameras, in brackets; nothing where it is not defined."""
    if interval["value"] is None:
        return ""
    text = f" (ratio {number(interval['value'])}"
    if interval["low"] is None:
        return f"{text}; {interval['method']})"
    high = "without limit" if interval["high"] is None else number(interval["high"])
    return f"{text}; interval over cameras {number(interval['low'])} to {high})"


def _rate(interval: Figures, confidence: float) -> str:
    """A rate per million with its limits, in words."""
    if interval["value"] is None:
        return f"undefined ({interval['method'].removeprefix('undefined: ')})"
    high = min(interval["high"], 1e6)
    if interval["value"] == 0:
        return f"0 ({100 * confidence:g} % certain: at most {number(high)})"
    return f"{number(interval['value'])} ({number(interval['low'])} to {number(high)})"


def _alarms(arms: Figures, confidence: float) -> str:
    detector = arms["detector"]["frame"]["false_alarms_per_million"]
    if detector["value"] is None:
        reason = detector["method"].removeprefix("undefined: ")
        return f"False alarms per million frames cannot be given: {reason}"
    text = (
        "Of a million frames without a target, the detector alone raises a false alarm on "
        f"{_rate(detector, confidence)}"
    )
    if arms["cascade"] is None:
        return text
    cascade = arms["cascade"]["frame"]["false_alarms_per_million"]
    text = f"{text}, the cascade on {_rate(cascade, confidence)}"
    if cascade["method"] == detector["method"]:
        return f"{text}; in brackets the interval, {detector['method']}"
    return (
        f"{text}; in brackets the interval: of the detector, {detector['method']}; of the "
        f"cascade, {cascade['method']}"
    )


def _found(arms: Figures, planted: Planted) -> str:
    present = {"detector alone": arms["detector"], "cascade": arms["cascade"]}
    event, frame = arms["detector"]["event"], arms["detector"]["frame"]
    said = []
    if event["incidents"]:
        found = [
            f"the {name} found {count(arm['event']['detected'])}"
            for name, arm in present.items()
            if arm
        ]
        incidents = plural(event["incidents"], "incident") + _word(planted, "event")
        said.append(f"Of {incidents}, {' and '.join(found)}")
    if frame["recall"] is None:
        said.append("Recall cannot be given: the truth has no frame with a target")
    else:
        found = [
            f"the {name} on {percent(arm['frame']['recall'])}"
            for name, arm in present.items()
            if arm
        ]
        total = frame["tp"] + frame["fn"]
        said.append(
            f"{'of' if said else 'Of'} {count(total)} frames with a target"
            f"{_word(planted, 'frame')}, an alarm was raised by {' and by '.join(found)}"
        )
    return "; ".join(said)


def _same_recall(matched: Figures) -> str:
    """Only why there is no such comparison: the headline has it where there is one."""
    if not matched["undefined"]:
        return ""
    return f"A comparison at equal recall cannot be made: {matched['undefined']}"


def _same_alarms(matched: Figures, planted: Planted) -> str:
    if matched["undefined"]:
        return f"A comparison at equal false alarms cannot be made: {matched['undefined']}"
    key = "incident_recall" if matched["level"] == "event" else "frame_recall"
    level = "incidents" if matched["level"] == "event" else "frames"
    return (
        f"With no more false-alarm frames than the cascade "
        f"({count(matched['cascade']['false_alarm_frames'])}), the detector alone, set to "
        f"{threshold(matched['detector_threshold'])}, finds {percent(matched['detector'][key])} of "
        f"{level}{_word(planted, matched['level'])}; the cascade finds "
        f"{percent(matched['cascade'][key])}"
    )
