"""The page as a whole: complete in itself, safe, true to the evaluation, and honest."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from forensics.errors import ForensicsError
from forensics.evaluation import evaluate
from forensics.report import Options
from forensics.report.evidence import GONE
from forensics.report.examined import examine
from forensics.report.page import build_report, json_block, read_truth, write_report
from forensics.report.planted import Planted
from forensics.report.quantities import Footnotes
from forensics.report.verdict import judge
from forensics.types import OperatingPoint
from tests.evaluation.helpers import NAN, Clip, make_run, spans_truth

from .helpers import (
    HIT,
    SIZE,
    Page,
    coverage_of,
    embedded_json,
    on_disk,
    page_of,
    truth_of,
    world,
)

HOSTILE = "<img src=x onerror=alert(1)>\"'\u202egpj.\u0007\u2066{{ 7*7 }}.mp4"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("report")
    return world(folder, "gate.mp4", "yard.mp4")


@pytest.fixture(scope="module")
def judged(place) -> str:
    return page_of(place, truth_of("gate.mp4", "yard.mp4"))


@pytest.fixture(scope="module")
def unjudged(place) -> str:
    return page_of(place)


def blind_run(tmp_path: Path, *clips: Clip, **changes):
    """A run whose footage is not there."""
    return on_disk(make_run(*clips, coverage=coverage_of(clips)), tmp_path, **changes)


@pytest.mark.parametrize("which", ["judged", "unjudged"])
def test_the_file_loads_nothing(which: str, request: pytest.FixtureRequest) -> None:
    page = request.getfixturevalue(which)
    parsed = Page(page)
    policies = [a["content"] for t, a in parsed.tags if a.get("http-equiv")]
    allowed, plain = "default-src 'none'; img-src data:; style-src 'unsafe-inline'", page
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    if which == "judged":
        sums = [hashlib.sha256(source.encode()).digest() for source in scripts]
        hashes = [f"'sha256-{base64.b64encode(found).decode()}'" for found in sums]
        allowed += f"; script-src {' '.join(hashes)}"
        assert "Bokeh Contributors" in scripts[0]  # the library keeps its notice
        plain = plain.replace(scripts[0], "")  # it names addresses that it never asks for
    assert policies == [allowed]
    assert len(scripts) == (3 if which == "judged" else 0)
    for tag, attributes in parsed.tags:
        assert tag not in {"link", "iframe", "object", "embed", "base", "form"}
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "srcset", "href", "data", "action"):
            if name in attributes:
                assert attributes[name].startswith(("data:image/", "#")), attributes
        assert tag != "script" or attributes.get("type", "application/json") == "application/json"
    assert not re.search(r"https?:|url\(|@import", re.sub(r"data:[^\"]*", "", plain))


@pytest.mark.parametrize("which", ["judged", "unjudged"])
def test_html_is_balanced_and_its_links_lead_somewhere(
    which: str, request: pytest.FixtureRequest
) -> None:
    parsed = Page(request.getfixturevalue(which))
    assert parsed.faults == []
    ids = [a["id"] for _, a in parsed.tags if "id" in a]
    assert len(ids) == len(set(ids))
    for tag, attributes in parsed.tags:
        if tag == "a":
            assert attributes["href"][1:] in ids
        if tag == "img":
            assert attributes["alt"]
    levels = [int(t[1]) for t, a in parsed.tags if re.fullmatch("h[1-6]", t)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert {"main", "nav", "header", "footer"} <= {tag for tag, _ in parsed.tags}


def test_hostile_names_are_shown_as_escapes(tmp_path: Path) -> None:
    found = {3: [(HIT, 0.9, 0.9)]}
    clip = Clip(HOSTILE, 10, detections=found, camera="</script><script>x", size=SIZE)
    run = blind_run(tmp_path, clip, argv=["scan", "a\nb\u202e"], backend="<b>")
    run = replace(run, folder=tmp_path / "run")
    for page in (page_of(run), page_of(run, spans_truth((HOSTILE, 0, 0.5, "gun")))):
        parsed = Page(page)
        assert parsed.faults == []
        assert not any("onerror" in attributes for _, attributes in parsed.tags)
        assert not re.search("[\u202a-\u202e\u2066-\u2069\u0007]", page)
        shown = parsed.text[""]
        assert "<img src=x onerror=alert(1)>\"'\\u202egpj.\\x07\\u2066{{ 7*7 }}.mp4" in shown
        assert "</script><script>x" in shown and "a\\nb\\u202e" in shown
        judged = 'id="verdict"' in page and "Verdict" in shown
        assert len([tag for tag, _ in parsed.tags if tag == "script"]) == (5 if judged else 0)


def test_every_session_of_a_scan_is_shown_with_its_command(tmp_path: Path) -> None:
    clip = Clip("a.mp4", 10, detections={3: [(HIT, 0.9, 0.9)]}, size=SIZE)
    times = [f"2026-01-01T0{hour}:00:00Z" for hour in range(6)]
    sessions = [
        {"argv": ["scan", "one two"], "started_utc": times[0], "ended_utc": times[1],
         "status": "partial"},
        {"argv": ["scan", "<b>"], "started_utc": times[2], "ended_utc": None},
        {"argv": ["scan", "three"], "started_utc": times[4], "ended_utc": times[5],
         "status": "complete"},
    ]  # fmt: skip
    shown = Page(page_of(blind_run(tmp_path, clip, sessions=sessions))).text[""]
    shown = " ".join(shown.split())
    for number, words in enumerate((
        f"forensics scan 'one two' {times[0]} to {times[1]}, partial",
        f"forensics scan '<b>' from {times[2]}, cut off",
        f"forensics scan three {times[4]} to {times[5]}, complete",
    ), 1):  # fmt: skip
        assert f"Command, session {number} of 3 {words}" in shown
    alone = " ".join(Page(page_of(blind_run(tmp_path, clip))).text[""].split())
    assert "Command forensics scan footage" in alone and "session 1" not in alone


def test_embedded_json_cannot_end_its_element() -> None:
    text = str(json_block({"a": "</script><!--&\u2028"}))
    assert not re.search("[<>&\u2028]", text)
    assert json.loads(text) == {"a": "</script><!--&\u2028"}


def test_figures_equal_the_evaluation(place, judged: str) -> None:
    expected = evaluate(place, truth_of("gate.mp4", "yard.mp4")).to_json()
    assert embedded_json(judged) == json.loads(json.dumps(expected))
    parsed = Page(judged)
    shown = dict(re.findall(r'<dd data-key="(\w+)">([\d,]+)</dd>', judged))
    for name, text in shown.items():
        assert int(text.replace(",", "")) == expected["denominators"][name]
    assert {"frames_footage", "frames_negative", "cameras"} <= set(shown)
    table = parsed.text["comparison"]
    detector, cascade = expected["arms"]["detector"], expected["arms"]["cascade"]
    rates = [a["frame"]["false_alarms_per_million"]["value"] for a in (detector, cascade)]
    assert rates == [pytest.approx(4 / 36 * 1e6), pytest.approx(2 / 36 * 1e6)]
    assert "111,111" in table and "55,556" in table
    assert "Incidents found at least one alarm frame within the incident 2 of 2" in table
    frame = detector["frame"]
    assert (
        f"Alarm frames with a target true positives {frame['tp']} {cascade['frame']['tp']}" in table
    )


def test_the_verdict_states_gain_and_loss_and_the_fair_comparison(judged: str) -> None:
    text = Page(judged).text["verdict"]
    assert "The classifier removes 2 of 4 false-alarm frames and loses 2 of 4 true" in text
    assert "To find the same number of incidents, 2," in text
    assert "No alarm is no proof that nothing is there" in text
    assert "planted" not in Page(judged).text[""]


def test_the_verdict_names_how_each_interval_was_made(tmp_path: Path, judged: str) -> None:
    """The cascade raises none: its limit is one-sided, the detector's interval is not."""
    found = {frame: [(HIT, 0.9, 0.1)] for frame in range(3)}
    names = [f"{number}.mp4" for number in range(9)]
    run = make_run(*(Clip(name, 20, detections=found) for name in names))
    result = evaluate(run, spans_truth(*((name, 0, 9, "none") for name in names))).to_json()
    verdict = judge(result, Planted((0, 0), (0, 0), (0, 0)), examine(run), Footnotes())
    frames = [result["arms"][arm]["frame"] for arm in ("detector", "cascade")]
    rates = [frame["false_alarms_per_million"] for frame in frames]
    said = next(text for text in verdict.sentences if "in brackets" in text)
    assert f"of the detector, {rates[0]['method']}; of the cascade, no events: one-sided" in said
    assert rates[1]["method"] in said
    assert "in brackets the interval, camera log-t over 2" in Page(judged).text["verdict"]


def test_planted_stands_wherever_positives_count(place) -> None:
    by_labels = page_of(place, truth_of("gate.mp4", "yard.mp4", planted=True))
    listed = replace(truth_of("gate.mp4", "yard.mp4"), planted=frozenset({"gate.mp4"}))
    by_list = page_of(place, listed)
    for page, word in ((by_labels, "planted"), (by_list, "partly planted")):
        text = Page(page).text
        assert f"true alarm frames ({word})" in text["verdict"]
        for label in (
            "Incidents found",
            "Recall of frames with a target",
            "Recall of target boxes",
        ):
            assert re.search(f"{label}\\s+{word}", text["comparison"])
        assert f"The positives are {word}." in text["curves"]
        assert "true hit (planted)" in text["alarms"]
        assert "true hit lost (planted)" in text["removed"]
        assert "incident (planted)" in text["timeline"]
    assert Page(by_list).text["alarms"].count("true hit (planted)") == 1


def test_a_list_beside_spans_plants_what_the_evaluation_counts(place, tmp_path: Path) -> None:
    """Spans without boxes: page, cards and the JSON of `evaluate` go by one source."""
    parts = ("0,0.35,none", "0.35,0.55,gun", "0.55,9,none")
    rows = [f"{name},{part}" for name in ("gate.mp4", "yard.mp4") for part in parts]
    (tmp_path / "spans.csv").write_text("\n".join(["file,start_s,end_s,class", *rows]) + "\n")
    (tmp_path / "sample.toml").write_text('planted = ["gate.mp4"]\n')
    truth = read_truth([tmp_path / "spans.csv"])
    found = evaluate(place, truth.labels).to_json()["planted"]
    assert (found["frames"], found["incidents"], found["media"]) == (2, 1, 1)
    text = Page(build_report(place, truth)).text
    assert "in 1 of 2 incidents and 2 of 4 frames with a target" in text["verdict"]
    assert "planted: in 2 of 4 positive frames" in text["verdict"].lower()
    assert text["alarms"].count("frame has a target (planted)") == 1
    both = text["timeline"].count("Truth incident")
    assert both == 2 * text["timeline"].count("Truth incident (planted)") > 0


def test_true_hits_lost_come_first_and_are_marked(judged: str) -> None:
    section = judged[judged.index('id="removed"') : judged.index('id="almost"')]
    kinds = re.findall(r'class="card kind-(\w+)"', section)
    assert kinds == ["lost", "lost", "false", "false"]
    assert "0.200" in section[: section.index("false alarm")]  # what the classifier said of it
    alarms = judged[judged.index('id="alarms"') : judged.index('id="removed"')]
    assert re.findall(r'class="card kind-(\w+)"', alarms) == ["false", "false", "hit", "hit"]


def test_kinds_are_styled_under_a_name_of_their_own(judged: str) -> None:
    classes = re.findall(r'class="(?:card|group) ([^"]*)"', judged)
    assert classes and all(re.fullmatch(r"kind-\w+", name) for name in classes)


def test_cards_say_where_and_when(judged: str) -> None:
    card = re.search(r'<li class="card kind-lost">.*?</li>', judged, re.DOTALL)
    assert card is not None
    text = Page(card[0]).text[""]
    assert "gate.mp4 00:00:00.500 frame 5" in text
    assert "Detector 0.700 Target score 0.200" in text


def test_without_truth_nothing_is_said_on_right_and_wrong(unjudged: str) -> None:
    text = Page(unjudged).text
    assert not re.search("precision|recall|true hit|false alarm", text[""], re.IGNORECASE)
    assert text["verdict"].count("2 incidents in 2 files") == 1
    assert "No alarm is no proof that nothing is there" in text["verdict"]
    order = [unjudged.index(f'id="{name}"') for name in ("incidents", "examined", "provenance")]
    assert order == sorted(order)
    assert unjudged.count('class="card kind-alarm"') == 2 + 4  # incidents, and what was set aside
    assert "00:00:00.400 to 00:00:01.200, 2 alarm frames" in text["incidents"]


def test_undefined_is_a_dash_with_its_reason_and_never_zero(tmp_path: Path) -> None:
    run = blind_run(tmp_path, Clip("a.mp4", 10, detections={3: [(HIT, 0.9, 0.9)]}, size=SIZE))
    page = page_of(run, spans_truth(("a.mp4", 0, 9, "none")), options=Options())
    parsed = Page(page)
    rows = {}
    written = re.sub(r'<section id="explorer".*?</section>', "", page, flags=re.DOTALL)
    for row in re.findall(r"<tr.*?</tr>", written, re.DOTALL):
        cells = Page(row).text.get("", "")
        rows[cells.split("\u2013")[0].strip()] = (cells, row)
    for start in ("Recall of frames with a target", "Incidents found", "Localised recall"):
        matching = [pair for text, pair in rows.items() if text.startswith(start)]
        assert matching
        for cells, row in matching:
            assert cells.count("\u2013") == 2 and "0.0" not in cells, cells
            assert 'title="The truth has no' in row
    assert re.search(r"without a target; with one 0 \u2013 \d", parsed.text["comparison"])
    assert "The truth has no incident here." in parsed.text["comparison"]
    assert "what it loses cannot be said" in parsed.text["verdict"]
    assert "Not drawn: recall of frames with a target" in parsed.text["curves"]


def test_no_negative_frames_leave_false_alarms_undefined(tmp_path: Path) -> None:
    run = blind_run(tmp_path, Clip("a.mp4", 10, detections={3: [(HIT, 0.9, 0.9)]}, size=SIZE))
    text = Page(page_of(run, spans_truth(("a.mp4", 0, 9, "gun")))).text
    assert "How many alarms are false cannot be said" in text["verdict"]
    assert re.search(r"without a target; with one \u2013 \d+ 0", text["comparison"])
    assert "0 false" not in text["verdict"]


def test_missing_footage_still_gives_a_page(tmp_path: Path) -> None:
    run = world(tmp_path, "gate.mp4")
    (tmp_path / "footage" / "gate.mp4").unlink()
    for page in (page_of(run), page_of(run, truth_of("gate.mp4"))):
        assert Page(page).text[""].count(GONE) == page.count('<li class="card') > 2
        assert "data:image/jpeg" not in page


def test_no_detection_at_all(tmp_path: Path) -> None:
    run = blind_run(tmp_path, Clip("a.mp4", 10, size=SIZE))
    assert "No incident at these thresholds" in Page(page_of(run)).text["verdict"]
    text = Page(page_of(run, spans_truth(("a.mp4", 0, 0.5, "gun"), ("a.mp4", 0.5, 1, "none")))).text
    assert "at most" in text["verdict"]  # no false alarm: an upper limit, not a bare zero
    assert "None." in text["alarms"]


def test_a_run_without_classifier_has_one_arm(tmp_path: Path) -> None:
    clip = Clip("a.mp4", 10, detections={3: [(HIT, 0.9, NAN)]}, size=SIZE)
    run = make_run(clip, thresholds={"classifier": None}, classes=())
    run = on_disk(run, tmp_path)
    for page in (page_of(run), page_of(run, spans_truth(("a.mp4", 0, 9, "none")))):
        parsed = Page(page)
        assert parsed.faults == []
        assert 'id="removed"' not in page
        assert not re.search("cascade raises|Cascade", parsed.text[""])


def test_another_operating_point_is_named(place) -> None:
    page = page_of(place, point=OperatingPoint(0.65, 0.7))
    text = Page(page).text
    assert "chosen for this report; the scan had 0.5 and 0.5" in text["provenance"]
    assert (
        page.count('class="card kind-alarm"') == 2 + 4
    )  # frame 4 stays; frames 5 and 12 are set aside


def test_what_was_not_examined_is_on_the_page(tmp_path: Path) -> None:
    clips = [Clip("a.mp4", 10, size=SIZE), Clip("bad.mp4", 0, size=SIZE, status="unreadable")]
    rows = coverage_of(clips[:1])
    rows.append({**rows[0], "state": "sampled_out", "n_frames": 30})
    rows.append({"path": "bad.mp4", "state": "undecodable", "n_frames": None, "reason": "no index"})
    run = make_run(*clips, coverage=rows)
    run = on_disk(run, tmp_path, status="partial", sampling={"frame_step": 4, "time_step_s": None})
    text = Page(page_of(run)).text["examined"]
    assert "1 unreadable file" in text and "bad.mp4 unreadable" in text
    assert "1 file of unknown length not counted" in text
    assert "30 left out by sampling" in text and "1 frame in 4 was examined" in text
    assert "1 span with an unknown number of frames" in text
    assert "The scan has not come to its end" in Page(page_of(run)).text["verdict"]


def test_suspect_frames_are_counted(tmp_path: Path) -> None:
    run = blind_run(tmp_path, Clip("a.mp4", 10, detections={3: [(HIT, 0.9, 0.9)]}, size=SIZE))
    frames = run.frames.set_column(
        run.frames.schema.get_field_index("suspect"), "suspect", pa.array([True] * 4 + [False] * 6)
    )
    text = Page(page_of(replace(run, frames=frames))).text["examined"]
    assert "4 suspect frames of damaged footage; 40.0 % of those examined" in text.replace(" ", " ")


def test_provenance_names_models_hashes_and_thresholds(judged: str) -> None:
    text = Page(judged).text["provenance"]
    for part in (
        "forensics 9.9",
        "ab" * 32,
        "run.json, SHA-256",
        "Floor",
        "Gate",
        "forensics verify",
    ):
        assert part in text


def test_the_same_run_gives_the_same_page(place, judged: str) -> None:
    assert page_of(place, truth_of("gate.mp4", "yard.mp4")) == judged


def test_files_without_a_clock_and_no_pictures_asked(tmp_path: Path) -> None:
    clip = Clip("a.jpg", 1, kind="still", detections={0: [(HIT, 0.9, 0.9)]}, size=SIZE)
    run = blind_run(tmp_path, clip)
    text = Page(page_of(run)).text
    assert "a.jpg no clock frame 0" in text["incidents"] and "still image" in text["examined"]
    page = page_of(run, options=Options(max_pictures=0))
    assert "No pictures were asked for." in page and '<li class="card' not in page


def test_files_with_incidents_come_first_on_the_timeline(tmp_path: Path) -> None:
    only_detector = Clip("a.mp4", 10, detections={3: [(HIT, 0.9, 0.1)]}, size=SIZE)
    both = Clip("b.mp4", 10, detections={3: [(HIT, 0.9, 0.9)]}, size=SIZE)
    text = Page(page_of(blind_run(tmp_path, only_detector, both))).text["timeline"]
    assert text.index("b.mp4") < text.index("a.mp4")


def test_a_place_that_cannot_be_written_is_an_expected_error(place, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ForensicsError, match="choose --out"):
        write_report(place, tmp_path / "file" / "r.html")
