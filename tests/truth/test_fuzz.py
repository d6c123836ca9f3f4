"""Whatever stands in a truth file, reading it gives a truth or one TruthError, never a crash."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.errors import TruthError
from forensics.truth import load_truth
from forensics.truth.coco import read_coco
from forensics.truth.mot import read_mot
from forensics.truth.spans import read_spans
from forensics.truth.yolo import parse_names, read_yolo

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


def is_sound(truth) -> None:
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
    is_sound(read(lambda path: read_coco(path, "t.json"), "t.json", json.dumps(data)))


@QUICK
@given(st.lists(st.lists(NUMBERS, min_size=4, max_size=10), max_size=5))
def test_yolo_mot_and_spans(rows) -> None:
    lines = "\n".join(" ".join(row) for row in rows)
    is_sound(read(lambda path: read_yolo(path, "a.txt", None), "a.txt", lines))
    comma = "\n".join(",".join(row) for row in rows)
    is_sound(read(lambda path: read_mot(path, "a.txt"), "a.txt", comma))
    table = "file,start_s,end_s,class\n" + comma
    is_sound(read(lambda path: read_spans(path, "a.csv"), "a.csv", table))


@QUICK
@given(st.binary(max_size=60), st.sampled_from(["a.csv", "a.json", "a.txt", "a.mot.txt"]))
def test_any_bytes(content: bytes, name: str) -> None:
    is_sound(read(lambda path: load_truth([path]), name, content))


@QUICK
@given(st.text(alphabet="names:-[]{}'\"#, 01gun\n", max_size=40))
def test_any_class_list(text: str) -> None:
    try:
        names = parse_names(text, "data.yaml")
    except TruthError:
        return
    assert all(isinstance(name, str) for name in names)


@pytest.mark.parametrize("reader", [read_coco, read_spans, read_mot])
def test_a_folder_in_place_of_a_file_is_refused(reader, tmp_path: Path) -> None:
    with pytest.raises(TruthError):
        reader(tmp_path, "t")
