"""`forensics compare` from the outside: one run's arms, two runs, and what only one run has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forensics.cli import compare as module
from forensics.cli import main as command_line
from forensics.errors import ForensicsError
from forensics.evaluation import evaluate_prepared, prepare
from forensics.evaluation.common import common_footage
from forensics.evaluation.compare import Side, compare
from forensics.evaluation.fair import matched_false_alarms, matched_recall
from forensics.evaluation.levels import CASCADE, DETECTOR, count_arm
from forensics.evaluation.matched import matched
from forensics.evaluation.side_by_side import compare_arms, compare_runs
from forensics.evaluation.text_compare import render_comparison
from forensics.types import OperatingPoint

from .helpers import NAN, Clip, make_run, spans_truth, strict_json

G = (0, 0, 10, 10)
POINT = OperatingPoint(0.5, 0.5)


def clip(name: str, alarms: dict[int, tuple[float, float]], n: int = 60, **more: Any) -> Clip:
    found = {index: [(G, *scores)] for index, scores in alarms.items()}
    return Clip(name, n, fps=1, detections=found, **more)


HIT, WEAK = (0.9, 0.9), (0.7, 0.2)
SPANS = [("a.mp4", 0, 20, "none"), ("a.mp4", 20, 30, "gun"), ("a.mp4", 30, 60, "none"),
         ("b.mp4", 0, 60, "none"), ("c.mp4", 0, 60, "none")]  # fmt: skip
FIRST = (clip("a.mp4", {3: HIT, 22: HIT, 24: WEAK}), clip("b.mp4", {5: HIT, 7: WEAK}))
SECOND = (clip("b.mp4", {}), clip("a.mp4", {22: HIT, 50: HIT}))


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    lines = ["file,start_s,end_s,class", *(f"{a},{b},{c},{d}" for a, b, c, d in SPANS)]
    (tmp_path / "spans.csv").write_text("\n".join(lines) + "\n")

    def run_it(*options: str, **runs: Any) -> tuple[int, str, str]:
        monkeypatch.setattr(module, "open_run", lambda path: make_run(*runs[str(path)]))
        names = [*runs, "--truth", str(tmp_path / "spans.csv")]
        code = command_line.run(["compare", *names, *options])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run_it


def test_one_run_sets_the_detector_against_the_cascade(call) -> None:
    code, out, err = call("--format", "json", A=FIRST)
    found = strict_json(out)
    assert (code, err) == (0, "")
    assert found["comparison"]["sides"] == ["detector", "cascade"]
    assert [(r["path"], r["frame_index"], r["alarmed_by"], r["outcome"]) for r in
            found["disagreements"]] == [
        ("a.mp4", 24, "detector", "true alarm"), ("b.mp4", 7, "detector", "false alarm"),
    ]  # fmt: skip
    assert found["evaluations"]["A"]["removal"]["frame"] == {"tp_lost": 1, "fp_removed": 1}
    assert found["footage"] == {"media_compared": 2, "left_out": []}


def test_planted_files_that_a_list_names_are_said(call, tmp_path: Path) -> None:
    (tmp_path / "sample.toml").write_text('planted = ["a.mp4"]\n')
    found = strict_json(call("--format", "json", A=FIRST)[1])["evaluations"]["A"]
    assert found["planted"]["frames"] == found["denominators"]["frames_positive"] == 10
    assert "planted: in 10 of 10 positive frames" in " ".join(call(A=FIRST)[1].split())


def test_subsets_are_not_tested(call) -> None:
    found = strict_json(call("--format", "json", A=FIRST)[1])
    for paired in found["comparison"]["rates"].values():
        assert paired["p_value"] is None and "subset" in paired["test"]
    assert "mcnemar_p_value" not in found["comparison"]["incidents"]
    assert "mcnemar_p_value" in found["matched"]["false_alarms"]["incidents"]
    two = strict_json(call("--format", "json", A=FIRST, B=SECOND)[1])
    assert "sign-flip" in two["comparison"]["rates"]["frame_false_alarms_per_million"]["test"]


def test_two_runs_are_compared_on_shared_content_only(call) -> None:
    one = (*FIRST, clip("c.mp4", {1: HIT}), Clip("lost.mp4", 0, status="unreadable"))
    two = (*SECOND, clip("d.mp4", {1: HIT}))
    code, out, _ = call("--format", "json", A=one, B=two)
    found = strict_json(out)
    assert code == 0 and found["footage"]["media_compared"] == 2
    left_out = [(r["path"], r["run"], r["reason"][:17]) for r in found["footage"]["left_out"]]
    assert left_out == [
        ("c.mp4", "a", "not in run b"),
        ("lost.mp4", "a", "could not be read"),
        ("d.mp4", "b", "not in run a"),
    ]
    assert found["evaluations"]["A"]["denominators"]["frames_processed"] == 120
    rows = [(r["path"], r["frame_index"], r["alarmed_by"]) for r in found["disagreements"]]
    assert rows == [("a.mp4", 3, "A"), ("a.mp4", 50, "B"), ("b.mp4", 5, "A")]
    alone = strict_json(call("--format", "json", A=FIRST, B=SECOND)[1])
    assert alone["comparison"] == found["comparison"] and alone["matched"] == found["matched"]
    table = call(A=one, B=two)[1]
    for words in ("left out: 3", "d.mp4 (run B): not in run a", "files compared: 2"):
        assert words in table


def test_a_moved_file_is_still_the_same_footage() -> None:
    renamed = tuple(
        Clip(f"x/{c.path}", c.n_frames, fps=1, detections=c.detections, media_id=c.identity)
        for c in SECOND
    )
    found = compare_runs(make_run(*FIRST), make_run(*renamed), spans_truth(*SPANS))
    assert found.media == 2 and len(found.disagreements) == 3
    assert any("name cameras differently" in note for note in found.notes)


def test_files_with_other_frames_are_left_out_and_other_sampling_is_refused(call) -> None:
    cut = (SECOND[1], clip("b.mp4", {}, n=30))
    found = strict_json(call("--format", "json", A=FIRST, B=cut)[1])
    assert found["footage"]["left_out"] == [
        {"path": "b.mp4", "run": "both", "reason": "the two runs processed different frames of it"}
    ]
    broken = (clip("a.mp4", {22: HIT}, errors=[9]), FIRST[1])
    common = common_footage(make_run(*FIRST), make_run(*broken))
    assert [row["path"] for row in common.left_out] == ["a.mp4"]
    sampled = tuple(clip(c.path, {}, every=5) for c in FIRST)
    code, _, err = call(A=FIRST, B=sampled)
    assert code == 1 and "--frame-sample" in err and err.count("\n") == 1
    code, _, err = call(A=FIRST, B=(clip("z.mp4", {}),))
    assert code == 1 and "share no footage" in err


def test_the_table_is_cut_and_the_file_is_complete(call, tmp_path: Path) -> None:
    many = (clip("a.mp4", dict.fromkeys([*range(20), *range(31, 60)], WEAK)), FIRST[1])
    out = tmp_path / "all.json"
    code, shown, _ = call("--format", "json", "--out", str(out), A=many)
    assert (code, shown) == (0, "")
    assert len(strict_json(out.read_text())["disagreements"]) == 50
    table = call(A=many)[1]
    assert "disagreements: 50 frames (the first 20 shown" in table
    assert table.count("false alarm │") == 20
    missing = str(tmp_path / "no" / "x.json")
    code, _, err = call("--out", missing, A=many)
    assert code == 1 and err.startswith("error: cannot write")


def random_run(seed: int, cameras: int = 6):
    """Stills of chance, so that every level and both thresholds matter."""
    rng = np.random.default_rng(seed)
    clips = []
    for number in range(cameras):
        alarms = {
            int(i): (round(float(rng.uniform(0.1, 1)), 2), round(float(rng.uniform()), 2))
            for i in np.flatnonzero(rng.random(80) < 0.4)
        }
        clips.append(clip(f"{number}.mp4", alarms, n=80))
    spans = []
    for number in range(cameras):
        spans += [(f"{number}.mp4", 0, 40, "none"), (f"{number}.mp4", 40, 45, "gun")]
        spans.append((f"{number}.mp4", 45, 80, "none"))
    return make_run(*clips), spans_truth(*spans)


@pytest.mark.parametrize("seed", range(6))
def test_matched_figures_are_those_of_evaluate(seed: int) -> None:
    run, truth = random_run(seed)
    prepared = prepare(run, truth)
    cascade = count_arm(prepared, POINT, CASCADE)
    found = matched(Side("d", prepared, POINT, DETECTOR), Side("c", prepared, POINT))
    recall, budget = matched_recall(prepared, cascade), matched_false_alarms(prepared, cascade)
    assert found["recall"]["detector_threshold"] == recall["detector_threshold"]
    assert found["recall"]["false_alarm_ratio"]["value"] == recall["false_alarm_ratio"]
    assert found["false_alarms"]["detector_threshold"] == budget["detector_threshold"]
    assert found["false_alarms"]["recall_difference"]["value"] == budget["recall_difference"]
    limits = found["false_alarms"]["recall_difference"]
    assert -1 <= limits["low"] <= limits["high"] <= 1
    assert "chosen anew" in limits["method"]


def test_a_side_against_itself_shows_nothing() -> None:
    run, truth = random_run(1)
    found = compare_runs(run, random_run(1)[0], truth).to_json()
    assert found["disagreements"] == []
    for paired in found["comparison"]["rates"].values():
        assert paired["difference"]["value"] == 0 and paired["p_value"] is None
    assert found["evaluations"]["A"] == found["evaluations"]["B"]
    pairs = found["comparison"]["incidents"]
    assert pairs["only_first"] == pairs["only_second"] == 0


def test_matching_moves_a_only_as_far_as_its_log_goes() -> None:
    truth = spans_truth(*SPANS)
    blind = (clip("a.mp4", {3: HIT}), FIRST[1])
    a, b = (Side(n, prepare(make_run(*r), truth), POINT) for n, r in (("A", blind), ("B", FIRST)))
    found = matched(a, b)["recall"]
    assert "does not reach it" in found["undefined"]
    assert found["false_alarm_ratio"]["value"] is None
    assert matched(b, a)["recall"]["undefined"] == "A finds nothing"
    gated = make_run(*FIRST, thresholds={"gate": 0.8})
    c = Side("C", prepare(gated, truth), OperatingPoint(0.85, 0.5))
    assert matched(c, b)["false_alarms"]["detector_threshold"] >= np.float32(0.8)


def test_mcnemar_speaks_at_matched_false_alarms() -> None:
    hours = [(f"{n}.mp4", edge) for n in range(8) for edge in ((0, 40, "none"), (40, 45, "gun"))]
    truth = spans_truth(*((name, *edge) for name, edge in hours))
    good = make_run(*(clip(f"{n}.mp4", {41: HIT}, n=45) for n in range(8)))
    poor = make_run(*(clip(f"{n}.mp4", {5: HIT}, n=45) for n in range(8)))
    found = matched(Side("A", prepare(poor, truth), POINT), Side("B", prepare(good, truth), POINT))[
        "false_alarms"
    ]["incidents"]
    assert (found["only_first"], found["only_second"]) == (0, 8)
    assert found["mcnemar_p_value"] == 2 / 2**8


def test_truth_without_negatives_or_positives_gives_null_not_zero() -> None:
    for label in ("gun", "none"):
        truth = spans_truth(("a.mp4", 0, 60, label), ("b.mp4", 0, 60, label))
        found = compare_arms(make_run(*FIRST), truth).to_json()
        strict_json(json.dumps(found, allow_nan=False))
        part = found["matched"]["false_alarms" if label == "gun" else "recall"]
        assert part["undefined"].startswith("truth has no")
        rates = found["comparison"]["rates"]
        empty = "frame_false_alarms_per_million" if label == "gun" else "frame_recall"
        assert rates[empty]["difference"]["value"] is None


def test_stills_have_null_times(call) -> None:
    pictures = (clip("a.mp4", {0: HIT}, n=1, kind="still"), *FIRST[1:])
    other = (clip("a.mp4", {}, n=1, kind="still"), *FIRST[1:])
    truth = spans_truth(("b.mp4", 0, 60, "none"))
    found = compare_runs(make_run(*pictures), make_run(*other), truth, None).to_json()
    strict_json(json.dumps(found, allow_nan=False))
    assert found["footage"]["media_compared"] == 2


def test_runs_without_a_classifier_need_a_second_run(call) -> None:
    run = make_run(*FIRST, thresholds={"classifier": None, "gate": None})
    with pytest.raises(ForensicsError, match="second run"):
        compare_arms(run, spans_truth(*SPANS))
    bare = make_run(
        *(clip(c.path, {i: (d[0][1], NAN) for i, d in c.detections.items()}) for c in FIRST),
        thresholds={"classifier": None, "gate": None},
    )
    found = compare_runs(bare, make_run(*FIRST), spans_truth(*SPANS)).to_json()
    assert found["evaluations"]["A"]["arms"]["cascade"] is None
    assert [r["alarmed_by"] for r in found["disagreements"]] == ["A", "A"]
    assert "A detector" in render_comparison(found) and "A cascade" not in render_comparison(found)


def test_evaluations_are_those_of_evaluate(call) -> None:
    found = strict_json(call("--format", "json", "--detector-threshold", "0.8", A=FIRST)[1])
    prepared = prepare(make_run(*FIRST), spans_truth(*SPANS))
    plain = evaluate_prepared(prepared, OperatingPoint(0.8, 0.5)).to_json()
    for key in ("arms", "denominators", "removal", "matched_recall", "operating_point"):
        assert found["evaluations"]["A"][key] == plain[key]


def test_wrong_use(call) -> None:
    assert call("--detector-threshold", "0.4", A=FIRST, B=SECOND)[0] == 2
    assert call("--detector-threshold", "4", A=FIRST)[0] == 2
    code, _, err = call("--detector-threshold", "0.001", A=FIRST)
    assert code == 1 and "floor" in err and err.count("\n") == 1


def test_a_run_that_is_not_there_is_one_line(tmp_path: Path, capsys) -> None:
    for command in (["compare"], ["threshold", "--min-recall", "0.5"]):
        assert command_line.run([*command, str(tmp_path / "none"), "--truth", "x"]) == 1
        assert "not a run folder" in capsys.readouterr().err


def test_the_order_of_sides_is_that_of_the_difference() -> None:
    truth = spans_truth(*SPANS)
    one, two = (
        Side(n, prepare(make_run(*r), truth), POINT) for n, r in (("A", FIRST), ("B", SECOND))
    )
    there, back = compare(one, two), compare(two, one)
    for name, paired in there.rates.items():
        assert paired.difference.value == -back.rates[name].difference.value  # type: ignore[operator]
