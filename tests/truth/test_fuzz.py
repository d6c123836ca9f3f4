"""Whatever stands in a truth file, reading it gives a truth or one TruthError, never a crash."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.errors import TruthError
from forensics.truth import load_truth
from forensics.truth.actev import read_actev
from forensics.truth.coco import read_coco
from forensics.truth.cvat import read_cvat
from forensics.truth.fiftyone import read_fiftyone
from forensics.truth.megadetector import read_megadetector
from forensics.truth.mot import read_mot
from forensics.truth.predictions import load_predictions
from forensics.truth.spans import read_spans
from forensics.truth.voc import read_voc
from forensics.truth.yolo import read_yolo
from forensics.truth.yolo_names import parse_names

QUICK = settings(max_examples=150, deadline=None)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["a.mp4", "a.mp4#3", 1, 10**400])
)
VALUES = SCALARS | st.lists(SCALARS, max_size=5) | st.dictionaries(st.text(max_size=2), SCALARS)
KEYS = st.sampled_from(
    ["id", "image_id", "category_id", "bbox", "name", "file_name", "frame_index", "video_id",
     "ignore", "iscrowd", "planted", "width", "height"]
)  # fmt: skip
ENTRIES = st.lists(st.dictionaries(KEYS, VALUES, max_size=8), max_size=4) | VALUES
NUMBERS = st.sampled_from(
    ["0", "1", "-1", "0.5", "nan", "inf", "-inf", "1e400", "1e9", "x", "", "2", "99999999999"]
)


def read(reader, name: str, content: str | bytes):
    """Run one reader on a file of that content; None where it refuses."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        try:
            return reader(path)
        except TruthError as error:
            assert "\n" not in str(error)
            return None


def assert_sound(truth) -> None:
    if truth is None:
        return
    for media in truth.media:
        assert np.all(np.diff(media.frames) > 0)
        assert np.isfinite(media.boxes.xyxy).all()
        assert np.all(media.boxes.xyxy[:, 2:] > media.boxes.xyxy[:, :2])
        assert np.isin(media.boxes.frame_index, media.frames).all()
        assert all(span.end_s > span.start_s for span in media.spans)


REQUIRED = dict.fromkeys(("images", "annotations"), ENTRIES)
OPTIONAL = dict.fromkeys(("videos", "categories", "info"), ENTRIES)


@QUICK
@given(st.fixed_dictionaries(REQUIRED, optional=OPTIONAL))
def test_coco(data) -> None:
    assert_sound(read(lambda path: read_coco(path, "t.json"), "t.json", json.dumps(data)))


@QUICK
@given(st.lists(st.lists(NUMBERS, min_size=4, max_size=10), max_size=5))
def test_yolo_mot_and_spans(rows) -> None:
    lines = "\n".join(" ".join(row) for row in rows)
    assert_sound(read(lambda path: read_yolo(path, "a.txt", None), "a.txt", lines))
    comma = "\n".join(",".join(row) for row in rows)
    assert_sound(read(lambda path: read_mot(path, "a.txt"), "a.txt", comma))
    table = "file,start_s,end_s,class\n" + comma
    assert_sound(read(lambda path: read_spans(path, "a.csv"), "a.csv", table))


FRAME_KEYS = st.sampled_from(["0", "1", "2", "x", "frame_number", "ground_truth", "_sample_id"])
BOX = st.fixed_dictionaries(
    {"label": SCALARS, "category": SCALARS, "bbox": VALUES, "bounding_box": VALUES},
    optional={"frame_number": SCALARS, "iscrowd": SCALARS, "planted": VALUES},
)
BOXES = st.fixed_dictionaries({"detections": st.lists(BOX, max_size=3) | VALUES}) | VALUES
FRAMES = st.dictionaries(FRAME_KEYS, st.dictionaries(FRAME_KEYS, BOXES | VALUES) | VALUES)
SAMPLE = st.fixed_dictionaries({"filepath": SCALARS, "frames": FRAMES | VALUES})
IMAGE = st.fixed_dictionaries(
    {"file": SCALARS, "detections": st.lists(BOX, max_size=3) | VALUES},
    optional={"frames_processed": VALUES, "frames_ignored": VALUES, "failure": VALUES},
)
SIGNAL = st.dictionaries(SCALARS.map(str), SCALARS, max_size=3)


@QUICK
@given(st.lists(SAMPLE, min_size=1, max_size=3), FRAMES)
def test_fiftyone(samples, frames) -> None:
    for data in ({"samples": samples}, {"frames": frames}):
        assert_sound(read(lambda path: read_fiftyone(path, "t.json"), "t.json", json.dumps(data)))


@QUICK
@given(st.lists(IMAGE, max_size=3), st.dictionaries(st.sampled_from("012"), SCALARS) | VALUES)
def test_megadetector(images, categories) -> None:
    data = {"images": images, "detection_categories": categories}
    assert_sound(read(lambda path: read_megadetector(path, "t.json"), "t.json", json.dumps(data)))


@QUICK
@given(
    st.lists(
        st.fixed_dictionaries(
            {"activity": SCALARS, "localization": st.fixed_dictionaries({"a": SIGNAL}) | VALUES}
        ),
        max_size=3,
    ),
    st.fixed_dictionaries({"framerate": SCALARS, "selected": SIGNAL | VALUES}) | VALUES,
)
def test_actev(activities, index) -> None:
    data = {"filesProcessed": ["a"], "activities": activities}

    def with_index(path: Path):
        path.with_name("t.file-index.json").write_text(json.dumps({"a": index}))
        return read_actev(path, "t.json")

    assert_sound(read(with_index, "t.json", json.dumps(data)))


NAMES = st.sampled_from(["xtl", "ytl", "xbr", "ybr", "frame", "outside", "points", "rotation"])
ATTRIBUTES = st.dictionaries(NAMES, NUMBERS | st.sampled_from(["1,2;3,4", "5", "9"]))


@QUICK
@given(
    st.lists(st.tuples(st.sampled_from(["box", "polygon", "points"]), ATTRIBUTES), max_size=4),
    st.lists(st.sampled_from(["0", "1", "6", "20", "-3", "x", ""]), min_size=3, max_size=3),
)
def test_cvat(shapes, meta) -> None:
    said = zip(("size", "start_frame", "stop_frame"), meta, strict=True)
    task = "".join(f"<{name}>{value}</{name}>" for name, value in said)
    inner = "".join(
        f"<{tag} {' '.join(f'{k}={quoteattr(v)}' for k, v in facts.items())}/>"
        for tag, facts in shapes
    )
    text = f"<annotations><meta><task>{task}</task></meta><track label='a'>{inner}</track>"
    assert_sound(read(lambda path: read_cvat(path, "t.xml"), "t.xml", f"{text}</annotations>"))


@QUICK
@given(st.lists(st.lists(NUMBERS, min_size=4, max_size=4), max_size=3), NUMBERS)
def test_voc(boxes, width) -> None:
    tags = ("xmin", "ymin", "xmax", "ymax")
    items = ["".join(f"<{t}>{v}</{t}>" for t, v in zip(tags, b, strict=True)) for b in boxes]
    objects = "".join(f"<object><name>a</name><bndbox>{b}</bndbox></object>" for b in items)
    size = f"<size><width>{width}</width><height>5</height></size>"
    text = f"<annotation>{size}{objects}</annotation>"
    assert_sound(read(lambda path: read_voc(path, "t.xml"), "t.xml", text))


RESULT = st.fixed_dictionaries(
    {"image_id": SCALARS, "category_id": SCALARS, "bbox": VALUES, "score": SCALARS}
)
FOUND = st.fixed_dictionaries({"name": SCALARS, "confidence": SCALARS, "box": VALUES})


@QUICK
@given(st.lists(RESULT | FOUND | VALUES, max_size=3), st.lists(st.lists(NUMBERS, max_size=7)))
def test_predictions(entries, rows) -> None:
    lines = "\n".join(" ".join(row) for row in rows)
    for name, content in (("a.json", json.dumps(entries)), ("a_1.txt", lines)):
        found = read(lambda path: load_predictions([path]), name, content)
        for frame in found.frames if found else ():
            assert all(0 <= box.score <= 1 and box.label for box in frame.boxes)
            assert np.isfinite([box.xyxy for box in frame.boxes]).all()


@QUICK
@given(st.binary(max_size=60), st.sampled_from(["a.csv", "a.json", "a.txt", "a.mot.txt", "a.xml"]))
def test_any_bytes(content: bytes, name: str) -> None:
    assert_sound(read(lambda path: load_truth([path]), name, content))


@QUICK
@given(st.text(alphabet="names:-[]{}'\"#, 01gun\n", max_size=40))
def test_any_class_list(text: str) -> None:
    try:
        names = parse_names(text, "data.yaml")
    except TruthError:
        return
    assert all(isinstance(name, str) for name in names)


@QUICK
@given(st.lists(st.text(alphabet="gn'\"#:,-[]{} 1\\é", min_size=1, max_size=6), min_size=1))
def test_a_class_list_as_json_is_yaml(names: list[str]) -> None:
    """JSON quotes any name, and is YAML; names of white space are refused."""
    text = "names: " + json.dumps(names)
    if all(name.strip() for name in names):
        assert parse_names(text, "data.yaml") == tuple(names)
    else:
        with pytest.raises(TruthError, match="cannot read `names`"):
            parse_names(text, "data.yaml")


@pytest.mark.parametrize("reader", [read_coco, read_spans, read_mot])
def test_a_folder_in_place_of_a_file_is_refused(reader, tmp_path: Path) -> None:
    with pytest.raises(TruthError):
        reader(tmp_path, "t")
