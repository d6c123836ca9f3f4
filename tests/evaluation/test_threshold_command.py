"""`forensics threshold` from the outside: split, choice, promise and the written cascade."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forensics.cascade.definition import ZOO, load_cascade
from forensics.cli import main as command_line
from forensics.cli import threshold as module
from forensics.errors import ForensicsError
from forensics.evaluation import prepare
from forensics.evaluation.bounds import lower_bound
from forensics.evaluation.choose import choose_thresholds
from forensics.evaluation.goals import RECALL, Goal, Terms, split_cameras
from forensics.evaluation.levels import CASCADE, count_arm
from forensics.types import OperatingPoint

from .helpers import NAN, Clip, make_run, spans_truth, strict_json

G = (0, 0, 10, 10)
N_FRAMES = 300


def world(n: int = 20, *, seed: int = 5, guns: bool = True, classified: bool = True):
    """One clip a camera: noise that the classifier tells from the gun in view from 100 to 140 s."""
    rng = np.random.default_rng(seed)
    clips, spans = [], []
    for number in range(n):
        found = {}
        for frame in range(N_FRAMES):
            gun = guns and 100 <= frame < 140
            if gun or rng.random() < 0.05:
                target = rng.beta(8, 2) if gun else rng.beta(2, 8)
                score = float(rng.uniform(0.3, 1))
                found[frame] = [(G, score, float(target) if classified else NAN)]
        name = f"{number:02d}.mp4"
        clips.append(Clip(name, N_FRAMES, fps=1, camera=f"c{number:02d}", detections=found))
        spans += [(name, 0, 100, "none"), (name, 140, N_FRAMES, "none")]
        spans.append((name, 100, 140, "gun" if guns else "none"))
    thresholds = None if classified else {"classifier": None, "gate": None}
    run = make_run(*clips, thresholds=thresholds)
    cascade = load_cascade("handgun")
    stages = (("detector", cascade.detector), ("classifier", cascade.classifier))
    run.manifest["models"] = [
        {"stage": stage, "sha256": spec.files["fp32"].sha256} for stage, spec in stages
    ]
    assert cascade.classifier is not None
    run.manifest["cascade"] |= {"name": "handgun", "temperature": cascade.classifier.temperature}
    return run, spans


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def run_it(*options: str, **terms: Any) -> tuple[int, str, str]:
        run, spans = world(**terms)
        monkeypatch.setattr(module, "open_run", lambda path: run)
        lines = ["file,start_s,end_s,class", *(f"{a},{b},{c},{d}" for a, b, c, d in spans)]
        (tmp_path / "spans.csv").write_text("\n".join(lines) + "\n")
        arguments = ["threshold", "RUN", "--truth", str(tmp_path / "spans.csv"), *options]
        code = command_line.run(arguments)
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run_it


def test_the_choice_is_promised_and_scored_on_other_cameras(call) -> None:
    code, out, err = call("--max-false-alarms", "10000/million-frames", "--format", "json")
    assert (code, err) == (0, "")
    found = strict_json(out)
    assert found["promised"] and found["bound"] <= 10_000
    assert len(found["calibration"]) == len(found["test"]) == 10
    assert not set(found["calibration"]) & set(found["test"])
    assert found["on_test"]["cameras"] == 10
    run, spans = world()
    prepared = prepare(run, spans_truth(*spans))
    point = OperatingPoint(**found["operating_point"])
    media = [i for i, name in enumerate(prepared.log.path) if f"c{name[:2]}" in found["test"]]
    arm = count_arm(prepared, point, CASCADE)
    assert found["on_test"]["false_alarm_frames"] == int(arm.frame.fp[media].sum())
    assert found["on_test"]["found"] == int(arm.event.detected[media].sum())
    assert found["on_test"]["frames_negative"] == 10 * (N_FRAMES - 40)
    assert "exchangeable" in " ".join(found["scope"]) and "firmware" in " ".join(found["scope"])


def test_the_table_names_cameras_and_the_end_of_the_promise(call) -> None:
    code, out, _ = call("--max-false-alarms", "10000/million-frames", "--seed", "3")
    assert code == 0
    words = " ".join(out.split())
    for text in ("seed 3", "c01", "What is promised", "approximate", "season", "within the goal"):
        assert text in words
    assert out == call("--max-false-alarms", "10000/million-frames", "--seed", "3")[1]


def test_a_looser_limit_never_costs_recall_on_the_calibration_cameras(call) -> None:
    recalls = []
    for limit in ("3000", "10000", "40000"):
        options = ("--max-false-alarms", f"{limit}/million-frames", "--format", "json")
        recalls.append(strict_json(call(*options)[1])["on_calibration"]["found"])
    assert recalls == sorted(recalls)


def test_alerts_per_camera_day_are_counted_in_time_without_a_target(call) -> None:
    code, out, _ = call("--max-false-alarms", "400/camera-day", "--format", "json")
    found = strict_json(out)
    scored = found["on_calibration"]
    assert code == 0 and found["promised"] and found["bound"] <= 400
    days = 10 * (N_FRAMES - 40 - 2 * 2.0) / 86400  # the collar of 2 s on both sides is left out
    assert scored["camera_days_negative"] == pytest.approx(days)
    assert scored["false_alerts_per_camera_day"]["value"] == pytest.approx(
        scored["false_alerts"] / days
    )
    assert scored["false_alerts"] / days <= found["bound"]


def test_recall_is_promised_by_its_lower_limit(call) -> None:
    code, out, _ = call("--min-recall", "0.5", "--format", "json")
    found = strict_json(out)
    assert code == 0 and found["promised"]
    assert found["bound"] >= 0.5
    assert found["on_calibration"]["recall"]["value"] >= found["bound"]
    assert "logit-t" in found["bound_method"]
    fewest = min(row["false_alerts"] for row in found["path"] if row["accepted"])
    assert found["on_calibration"]["false_alerts"] == fewest
    code, _, err = call("--min-recall", "0.95")
    assert code == 1 and "no threshold can be promised" in err and err.count("\n") == 1


def test_the_lower_limit_is_the_exact_one_when_cameras_are_alike() -> None:
    totals = np.full(10, 3.0)
    hits = totals - np.tile([0.0, 1.0], 5)
    assert lower_bound(hits, totals, 0.05) < 25 / 30
    # 30 of 30: Clopper-Pearson alone says 0.05 ** (1 / 30); one assumed miss may lower it.
    assert lower_bound(totals, totals, 0.05) <= 0.05 ** (1 / 30) + 1e-12
    unlike = np.array([3.0] * 8 + [0, 0])
    alike = np.array([3.0] * 4 + [2.0] * 6)
    assert unlike.sum() == alike.sum()
    assert lower_bound(unlike, totals, 0.05) < lower_bound(alike, totals, 0.05) - 0.1
    assert lower_bound(np.ones(10), np.ones(10), 0.05) == pytest.approx(0.05**0.1)
    assert lower_bound(np.zeros(3), np.ones(3), 0.05) == 0
    assert lower_bound(np.zeros(3), np.zeros(3), 0.05) == 0


def test_few_cameras_promise_nothing_unless_no_promise_is_asked(call) -> None:
    options = ("--max-false-alarms", "20000/million-frames")
    code, out, err = call(*options, n=6)
    assert (code, out) == (1, "")
    assert "nothing can be promised from 3 calibration cameras" in err
    assert err.startswith("error: ") and err.count("\n") == 1
    code, out, err = call(*options, "--format", "json", n=6)
    found = strict_json(out)
    assert code == 1 and found["operating_point"] is None and found["on_test"] is None
    code, out, _ = call(*options, "--no-guarantee", n=6)
    assert code == 0 and "NO GUARANTEE" in out and "What is promised" not in out
    found = strict_json(call(*options, "--no-guarantee", "--format", "json", n=6)[1])
    assert found["promised"] is False and found["bound"] is None
    assert found["on_calibration"]["false_alarms_per_million"]["value"] <= 20_000
    assert call(*options, "--no-guarantee", n=1)[0] == 1


def test_cameras_can_be_named(call) -> None:
    named = [f"c{n:02d}" for n in range(12)]
    options = [text for name in named for text in ("--calibration", name)]
    limit = ("--max-false-alarms", "10000/million-frames", "--format", "json")
    found = strict_json(call(*limit, *options)[1])
    assert found["calibration"] == named and found["test"] == [f"c{n}" for n in range(12, 20)]
    code, _, err = call(*limit, "--calibration", "cellar")
    assert code == 1 and "no camera 'cellar'" in err and "c00" in err
    every = [text for n in range(20) for text in ("--calibration", f"c{n:02d}")]
    code, _, err = call(*limit, *every)
    assert code == 1 and "leave some out" in err


def test_the_copy_is_a_cascade_that_scans_accept(call, tmp_path: Path) -> None:
    out = tmp_path / "tuned"
    limit = ("--max-false-alarms", "10000/million-frames")
    code, shown, _ = call(*limit, "--out", str(out), "--format", "json")
    found = strict_json(shown)
    copy = load_cascade(str(out))
    assert code == 0 and found["cascade"]["sha256"] == copy.sha256
    for stage in ("detector", "classifier"):
        written = getattr(copy.operating_point, stage)
        assert np.float32(written) == np.float32(found["operating_point"][stage])
    for words in ("at most 10000", "risk 0.05", "SHA-256", "10 calibration cameras"):
        assert words in copy.chosen_how
    assert "Learn-then-Test" in copy.chosen_how
    plain = tmp_path / "plain"
    assert call(*limit, "--no-guarantee", "--out", str(plain))[0] == 0
    honest = load_cascade(str(plain)).chosen_how
    assert "no guarantee" in honest and "Learn-then-Test" not in honest
    code, _, err = call(*limit, "--out", str(out))
    assert code == 1 and "exists already" in err


def test_thresholds_are_not_written_into_another_cascade(call, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(ZOO / "handgun", other)
    text = (other / "cascade.toml").read_text()
    assert 'sha256 = "' in text
    (other / "cascade.toml").write_text(re.sub('(sha256 = ")....', r"\g<1>0000", text))
    limit = ("--max-false-alarms", "10000/million-frames")
    code, _, err = call(*limit, "--cascade", str(other), "--out", str(tmp_path / "out"))
    assert code == 1 and "not the one that the run used" in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--max-false-alarms", "5/camera-day", "--min-recall", "0.5"),
        ("--max-false-alarms", "5"),
        ("--max-false-alarms", "0/camera-day"),
        ("--max-false-alarms", "nan/camera-day"),
        ("--max-false-alarms", "5/fortnight"),
        ("--min-recall", "1"),
        ("--min-recall", "0.5", "--risk", "0"),
        ("--min-recall", "0.5", "--cascade", "handgun"),
    ],
)
def test_wrong_use_is_a_usage_error(call, options: tuple[str, ...]) -> None:
    assert call(*options, n=2)[0] == 2


def test_without_a_target_recall_is_null_and_the_promise_still_holds(call) -> None:
    options = ("--max-false-alarms", "10000/million-frames", "--format", "json")
    code, out, _ = call(*options, guns=False)
    found = strict_json(out)
    assert code == 0 and found["promised"]
    assert found["on_test"]["recall"]["value"] is None
    assert "no labelled target" in " ".join(found["scope"])
    assert all(step["recall"] is None for step in found["path"])
    code, _, err = call("--min-recall", "0.5", guns=False)
    assert code == 1 and "0 calibration cameras that have a labelled target" in err


def test_a_run_without_a_classifier_gets_a_detector_threshold() -> None:
    run, spans = world(classified=False)
    prepared = prepare(run, spans_truth(*spans))
    choice = choose_thresholds(prepared, Goal(0.6, RECALL))
    assert choice.operating_point is not None and choice.operating_point.classifier is None
    assert choice.on_test is not None and choice.on_test["found"] > 0
    assert choice.operating_point.detector > 0.3


def test_the_gate_of_the_run_bounds_the_grid() -> None:
    run, spans = world()
    run.manifest["thresholds"]["gate"] = 0.6
    choice = choose_thresholds(
        prepare(run, spans_truth(*spans)), Goal(100_000, "per million frames")
    )
    assert min(step.point.detector for step in choice.path) >= np.float32(0.6)


def test_the_split_depends_on_names_and_seed_alone_and_shares_out_targets() -> None:
    names = [f"c{n}" for n in range(12)]
    strata = [n < 4 for n in range(12)]
    left, right = split_cameras(names, 0.5, 7, strata)
    assert sum(strata[n] for n in left) == sum(strata[n] for n in right) == 2
    order = list(reversed(range(12)))
    again, _ = split_cameras([names[n] for n in order], 0.5, 7, [strata[n] for n in order])
    assert {names[n] for n in left} == {names[order[n]] for n in again}
    assert split_cameras(names, 0.5, 8, strata)[0] != left


def test_terms_that_make_no_sense_are_refused() -> None:
    for terms in ({"risk": 0}, {"risk": 1}, {"share": 1}):
        with pytest.raises(ForensicsError):
            Terms(**terms)
    for goal in ((0, "per camera-day"), (float("inf"), "per camera-day"), (1, RECALL), (1, "x")):
        with pytest.raises(ForensicsError):
            Goal(*goal)
