"""Each reader on small files that hold its conventions, and on files that break them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from forensics.errors import TruthError
from forensics.truth import load_truth
from forensics.truth.yolo_names import parse_names


def write(folder: Path, name: str, content: object) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def coco(**changes: object) -> dict[str, object]:
    return {
        "categories": [{"id": 7, "name": "gun"}, {"id": 8, "name": "phone"}],
        "videos": [{"id": 1, "file_name": "a/clip.mp4", "width": 100, "height": 50}],
        "images": [
            {"id": 1, "file_name": "a/clip.mp4#4", "video_id": 1, "frame_index": 4},
            {"id": 2, "file_name": "other.mp4#9", "ignore": True},
            {"id": 3, "file_name": "still.jpg", "width": 20, "height": 20},
        ],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 7, "bbox": [1, 2, 3, 4.5]},
            {"id": 2, "image_id": 1, "category_id": 8, "bbox": [0, 0, 9, 9], "iscrowd": 1},
        ],
    } | changes


def test_coco_names_frames_and_lists_negatives(tmp_path: Path) -> None:
    truth = load_truth([write(tmp_path, "t.json", coco())])
    clip, other, still = truth.media
    assert (clip.name, other.name, still.name) == ("a/clip.mp4", "other.mp4", "still.jpg")
    assert clip.frames.tolist() == [4]
    assert clip.boxes.xyxy.tolist() == [[1, 2, 4, 6.5], [0, 0, 9, 9]]
    assert clip.boxes.label == ("gun", "phone") and clip.boxes.ignore.tolist() == [False, True]
    assert other.frames.tolist() == [9] and other.ignored.tolist() == [True]
    assert still.frames.tolist() == [0] and len(still.boxes) == 0
    assert truth.classes == ("gun", "phone")


def test_coco_frames_may_be_named_like_pictures(tmp_path: Path) -> None:
    """What is left of our names where a tool drops `video_id`; a picture called so stays one."""
    images = [
        {"id": 1, "file_name": "cam 1/clip.mp4#4.jpg"},
        {"id": 2, "file_name": "IMG#2.jpg"},
    ]
    clip, still = load_truth([write(tmp_path, "t.json", coco(images=images, annotations=[]))]).media
    assert (clip.name, clip.frames.tolist()) == ("cam 1/clip.mp4", [4])
    assert (still.name, still.frames.tolist()) == ("IMG#2.jpg", [0])


def test_a_coco_picture_may_have_a_video_id_of_null(tmp_path: Path) -> None:
    images = [{"id": 1, "file_name": "a.jpg", "video_id": None}]
    (media,) = load_truth([write(tmp_path, "t.json", coco(images=images, annotations=[]))]).media
    assert (media.name, media.frames.tolist()) == ("a.jpg", [0])


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('{"images": [{"id": 1, "file_name": "a.jpg", "id": 2}], "annotations": []}', "id"),
        ('{"images": [], "annotations": [], "images": []}', "images"),
        ('[{"file": "a.mp4", "start_s": 0, "start_s": 2, "end_s": 3, "class": "gun"}]', "start_s"),
        ('{"frames": {"1": {"objects": {"objects": []}}, "1": {}}}', "1"),
    ],
)
@pytest.mark.parametrize("kind", [None, "coco", "spans", "fiftyone"])
def test_a_repeated_key_is_refused(kind, text: str, key: str, tmp_path: Path) -> None:
    with pytest.raises(TruthError, match=f"t.json: the key '{key}' stands twice"):
        load_truth([write(tmp_path, "t.json", text)], kind)


def test_coco_carries_planted_from_any_level(tmp_path: Path) -> None:
    for change in (
        {"info": {"planted": True}},
        {"videos": [{"id": 1, "file_name": "a/clip.mp4", "planted": 1}]},
        {"annotations": [dict(coco()["annotations"][0], planted=True)]},  # type: ignore[index]
    ):
        truth = load_truth([write(tmp_path, "t.json", coco(**change))])
        assert truth.media[0].boxes.planted[0]


BAD_BOXES = {
    "nan": [math.nan, 0, 1, 1],
    "negative width": [0, 0, -1, 1],
    "zero height": [0, 0, 1, 0],
    "outside": [200, 0, 5, 5],
    "huge": [0, 0, 1e12, 1],
}


@pytest.mark.parametrize("name", BAD_BOXES)
def test_boxes_that_cannot_be_used_are_listed_and_their_frame_ignored(name, tmp_path) -> None:
    annotation = {"id": 1, "image_id": 1, "category_id": 7, "bbox": BAD_BOXES[name]}
    truth = load_truth([write(tmp_path, "t.json", coco(annotations=[annotation]))])
    assert len(truth.media[0].boxes) == 0 and truth.media[0].ignored.tolist() == [True]
    assert truth.problems[0].where == "t.json: annotations[0]"


def test_boxes_that_reach_beyond_the_picture_are_kept_and_listed(tmp_path: Path) -> None:
    annotation = {"id": 1, "image_id": 1, "category_id": 7, "bbox": [90, 40, 30, 30]}
    truth = load_truth([write(tmp_path, "t.json", coco(annotations=[annotation]))])
    assert truth.media[0].boxes.xyxy.tolist() == [[90, 40, 120, 70]]
    assert "reaches beyond" in truth.problems[0].what


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"annotations": [{"image_id": 99, "category_id": 7}]}, r"annotations\[0\].*99"),
        ({"annotations": [{"image_id": 1, "category_id": 99}]}, r"annotations\[0\].*99"),
        ({"annotations": [{"image_id": 1, "category_id": 7, "bbox": "x"}]}, "bbox"),
        ({"annotations": [{"image_id": 1, "category_id": 7, "bbox": [0, 0, 1, 10**400]}]}, "bbox"),
        ({"annotations": {}}, "not a list"),
        ({"images": [3]}, r"images\[0\]"),
        ({"images": [{"id": 1}]}, "file_name"),
        ({"images": [{"file_name": "a"}]}, "id"),
        ({"images": [{"id": 1, "file_name": "a#1", "frame_index": 2}]}, "disagree"),
        ({"images": [{"id": 1, "file_name": "a", "frame_index": -1}]}, "frame_index"),
        ({"images": [{"id": 1, "file_name": "a", "video_id": 5}]}, "video_id"),
        ({"images": [{"id": 1, "file_name": "c/7.jpg", "video_id": 1, "frame_id": 7}]}, "0-based"),
        ({"images": [{"id": 1, "file_name": "a", "width": 10**400, "height": 9}]}, "any picture"),
        ({"annotations": [{"image_id": "x" * 999, "category_id": 7}]}, r"image_id 'x{59} is not"),
        ({"images": [{"id": 1, "file_name": "a"}, {"id": 2, "file_name": "a"}]}, "twice"),
        ({"images": [{"id": 1, "file_name": "a"}, {"id": 1, "file_name": "b"}]}, "twice"),
        ({"images": [{"id": 1, "file_name": "a", "ignore": "maybe"}]}, "ignore"),
        ({"categories": [{"id": 1}]}, "name"),
    ],
)
def test_bad_coco_names_the_entry(change, message, tmp_path: Path) -> None:
    with pytest.raises(TruthError, match=message):
        load_truth([write(tmp_path, "t.json", coco(**change))])


def test_yolo_reads_images_beside_labels(tmp_path: Path) -> None:
    write(tmp_path, "set/data.yaml", "train: ../x\nnames: ['person', \"gun\"]\nnc: 2\n")
    write(tmp_path, "set/valid/labels/a.txt", "1 0.5 0.5 0.2 0.4\n\n0 0 0 1 0 1 1\n")
    write(tmp_path, "set/valid/labels/empty.txt", "")
    truth = load_truth([tmp_path / "set"])
    full, empty = truth.media
    assert full.name.endswith("/set/valid/images/a") and not full.suffix_known
    assert full.normalised and full.boxes.label == ("gun", "person")
    assert full.boxes.xyxy == pytest.approx(np.array([[0.4, 0.3, 0.6, 0.7], [0, 0, 1, 1]]))
    assert empty.frames.tolist() == [0] and len(empty.boxes) == 0


def test_yolo_without_names_uses_numbers(tmp_path: Path) -> None:
    truth = load_truth([write(tmp_path, "labels/a.txt", "3 0.5 0.5 0.2 0.4")])
    assert truth.classes == ("3",)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 0.5 0.2", r"a\.txt:2: 4 values"),
        ("0 0.5 0.5 0.2 0.2 0.9", r"a\.txt:2: six values"),
        ("x 0.5 0.5 0.2 0.2", r"a\.txt:2: a value"),
        ("1.5 0.5 0.5 0.2 0.2", r"a\.txt:2: class 1\.5"),
        ("-1 0.5 0.5 0.2 0.2", r"a\.txt:2: class -1"),
        ("9 0.5 0.5 0.2 0.2", r"a\.txt:2: class 9"),
    ],
)
def test_bad_yolo_names_the_line(line, message, tmp_path: Path) -> None:
    write(tmp_path, "data.yaml", "names: [gun]")
    with pytest.raises(TruthError, match=message):
        load_truth([write(tmp_path, "labels/a.txt", f"0 0.5 0.5 0.2 0.2\n{line}\n")])


def test_yolo_lists_unusable_numbers(tmp_path: Path) -> None:
    truth = load_truth([write(tmp_path, "labels/a.txt", "0 nan 0.5 0.2 0.2\n0 0.5 0.5 -1 0.2")])
    assert [problem.where for problem in truth.problems] == ["a.txt:1", "a.txt:2"]
    assert truth.media[0].ignored.tolist() == [True]


@pytest.mark.parametrize(
    "text",
    [
        "names: [gun, 'cell phone']",
        "names: [\n  gun,\n  'cell phone']  # two",
        "names:\n- gun\n- cell phone\nnc: 2",
        "path: x\nnames:\n  0: gun\n  1: 'cell phone'  # a phone\ntrain: y",
        "names: {0: gun, 1: cell phone}",
        'nc: 2\nnames:\n  - "gun"\n  - "cell phone"',
    ],
)
def test_names_are_read_in_every_common_style(text: str) -> None:
    assert parse_names(text, "data.yaml") == ("gun", "cell phone")


@pytest.mark.parametrize(
    "text", ["nc: 1", "names:", "names: !!python/object [x", "names: {0: a, 5: b}", "names: gun"]
)
def test_names_that_cannot_be_read_are_an_error(text: str) -> None:
    with pytest.raises(TruthError, match=r"data\.yaml"):
        parse_names(text, "data.yaml")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("names:\n  0: \"gun #1\"  # a gun\n  1: 'a]b'", ("gun #1", "a]b")),
        ('names: ["a]b", "c, d"]', ("a]b", "c, d")),
        ("names: {0: 'it''s', 1: a:b}", ("it's", "a:b")),
        ("names:  # two\n\n- gun\n  # and\n\n- it's # a knife", ("gun", "it's")),
        ("names: [gun,\n  # a comment, with ]\n  knife,\n]\nnc: 2", ("gun", "knife")),
        (r'names: ["a\u0062"]', ("ab",)),
        ("names: [a\n b, yes, 1.0]", ("a b", "yes", "1.0")),
        ("names:\n- a\n- 'b\n  c'", ("a", "b c")),
    ],
)
def test_names_are_what_yaml_says(text: str, names: tuple[str, ...]) -> None:
    assert parse_names(text, "data.yaml") == names


@pytest.mark.parametrize(
    "text",
    [
        "names:\n  1000000: a",
        "names:\n  0: a\n  0: b",
        "names:\n  0: a\n  00: b",
        "names: [a]\nnames: [b]",
        "names: [a, [b]]",
        "names:\n- a\n- b: c",
        "names:\n- a\n-\n- b",
        "names: ['']",
        "names: [[a]: b]",
        "names: {0: a, [1]: b}",
    ],
)
def test_names_that_are_not_certain_are_refused(text: str) -> None:
    with pytest.raises(TruthError, match=r"data\.yaml: cannot read `names`"):
        parse_names(text, "data.yaml")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f"names: {{{'1' * 5000}: a}}", 1),
        ("names: [a] b", 1),
        ("names: [a,, b]", 1),
        ("names:\n- a\n- b\nnc: [", 4),
        ("names:\n  0: a\n- b", 3),
    ],
)
def test_what_is_not_yaml_is_refused_with_its_line(text: str, line: int) -> None:
    with pytest.raises(TruthError, match=rf"data\.yaml:{line}: cannot read it as YAML"):
        parse_names(text, "data.yaml")


def test_deep_nesting_and_controls_are_refused() -> None:
    for text in ("names: " + "[" * 5000, "names: [a\x00]", "names: [a]\n--- \nnames: [b]"):
        with pytest.raises(TruthError, match=r"data\.yaml.*: cannot read it as YAML"):
            parse_names(text, "data.yaml")


@pytest.mark.parametrize("name", ["obj.names", "classes.txt"])
def test_a_blank_line_shifts_no_class(name: str, tmp_path: Path) -> None:
    write(tmp_path, name, "person\ngun\n\n")
    write(tmp_path, "labels/a.txt", "1 0.5 0.5 0.1 0.1")
    assert load_truth([tmp_path]).classes == ("gun",)
    write(tmp_path, name, "person\n\ngun\n")
    with pytest.raises(TruthError, match=f"{name}:2: a class without a name"):
        load_truth([tmp_path])


def test_labels_of_poses_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "data.yaml", "kpt_shape: [2, 3]\nnames: [person]\n")
    write(tmp_path, "labels/a.txt", "0 .5 .5 .2 .2 .45 .45 1 .55 .9 1")
    with pytest.raises(TruthError, match=r"data\.yaml: kpt_shape: labels of poses"):
        load_truth([tmp_path])


def test_mot_counts_frames_from_one(tmp_path: Path) -> None:
    path = write(tmp_path, "clip.mot.txt", "1,1,10,20,30,40,1,-1,-1,-1\n3,1,0,0,5,5,0,-1,-1,-1\n")
    media = load_truth([path]).media[0]
    assert (media.name, media.suffix_known) == ("clip", False)
    assert media.frames.tolist() == [0, 1, 2]
    assert media.boxes.frame_index.tolist() == [0, 2]
    assert media.boxes.xyxy[0].tolist() == [10, 20, 40, 60]
    assert media.boxes.ignore.tolist() == [False, True] and media.boxes.label[0] == "person"


def test_mot_takes_length_and_size_from_seqinfo(tmp_path: Path) -> None:
    write(tmp_path, "S/seqinfo.ini", "[Sequence]\nseqLength=9\nimWidth=50\nimHeight=50\n")
    path = write(tmp_path, "S/gt/gt.txt", "1,1,60,0,5,5,1,3,1\n2,1,0,0,5,5,1,3,1\n")
    truth = load_truth([path])
    assert truth.media[0].name == "S" and len(truth.media[0].frames) == 9
    assert truth.classes == ("car",) and "outside" in truth.problems[0].what


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0,1,1,1,1,1", r":1: frame is 0"),
        ("1.5,1,1,1,1,1", r":1: frame is 1\.5"),
        ("nan,1,1,1,1,1", r":1: frame is nan"),
        ("1,1,1,1,1,1\n1,1,1", r":2: 3 values"),
        ("1,1,1,1,1,x", r":1: a value"),
        ("99999999999,1,1,1,1,1", r":1: frame 99999999999"),
        ("1,1,1,1,1,1,1,77,1", r":1: class 77"),
        ("1,1,1,1,1,1,1,3", r":1: 8 values; a MOT row has 6, 7, 9 or 10"),
    ],
)
def test_bad_mot_names_the_line(text, message, tmp_path: Path) -> None:
    with pytest.raises(TruthError, match=message):
        load_truth([write(tmp_path, "clip.mot.txt", text)])


def test_bad_seqinfo_is_named(tmp_path: Path) -> None:
    for text, message in (
        ("[Sequence]\nseqLength=many\n", r".*many"),
        ("seqLength=3\n", r".*no section \[Sequence\]"),
        ("[Other]\nseqLength=3\n", r".*no section \[Sequence\]"),
        ("[Sequence]\nname=a\nname=b\n", r".*name"),
    ):
        write(tmp_path, "clip.seqinfo.ini", text)
        with pytest.raises(TruthError, match=rf"clip\.seqinfo\.ini{message}") as caught:
            load_truth([write(tmp_path, "clip.mot.txt", "1,1,1,1,1,1")])
        assert "\n" not in str(caught.value)


def test_spans_are_the_same_in_csv_and_json(tmp_path: Path) -> None:
    rows = "file,start_s,end_s,class,planted\na.mp4,0,1.5,gun,true\na.mp4,1.5,,none,\n"
    csv = load_truth([write(tmp_path, "s.csv", "\ufeff" + rows)]).media[0]
    entries = [
        {"file": "a.mp4", "start_s": 0, "end_s": 1.5, "class": "gun", "planted": True},
        {"file": "./a.mp4", "start_s": 1.5, "end_s": None, "class": "none"},
    ]
    for content in (entries, {"spans": entries}):
        other = load_truth([write(tmp_path, "s.json", content)]).media[0]
        assert [s.start_s for s in other.spans] == [s.start_s for s in csv.spans] == [0, 1.5]
        assert [s.end_s for s in other.spans] == [s.end_s for s in csv.spans] == [1.5, math.inf]
        assert [s.planted for s in other.spans] == [s.planted for s in csv.spans] == [True, False]


def test_spans_may_have_the_unnamed_column_of_row_numbers_that_pandas_writes(
    tmp_path: Path,
) -> None:
    rows = ",file,start_s,end_s,class\n0,a.mp4,1,2,gun\n"
    (media,) = load_truth([write(tmp_path, "s.csv", rows)]).media
    assert [(media.name, s.start_s, s.end_s) for s in media.spans] == [("a.mp4", 1, 2)]
    with pytest.raises(TruthError, match=r"s\.csv:2: the number of values"):
        load_truth([write(tmp_path, "s.csv", rows.replace("gun", "gun,5"))])


def test_spans_with_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    rows = "file,start_s,end_s,class,class\na.mp4,1,2,gun,none\n"
    with pytest.raises(TruthError, match=r"s\.csv:1: two columns class"):
        load_truth([write(tmp_path, "s.csv", rows)])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a.mp4,2,1,gun", r"s\.csv:2: the span ends"),
        ("a.mp4,x,1,gun", r"s\.csv:2: start_s is 'x'"),
        ("a.mp4,nan,1,gun", r"s\.csv:2: start_s"),
        (f"a.mp4,{'x' * 999},1,gun", r"s\.csv:2: start_s is 'x{59}, not"),
        ("a.mp4,0,inf,gun", r"s\.csv:2: end_s"),
        ("a.mp4,0,1", r"s\.csv:2: the number of values"),
        ("a.mp4,0,1,gun,5", r"s\.csv:2: the number of values"),
        (",0,1,gun", r"s\.csv:2: file or class is empty"),
        ("a.mp4,0,1,", r"s\.csv:2: file or class is empty"),
        ('"a.mp4,0,1,gun', r"s\.csv:2: unexpected end"),
    ],
)
def test_bad_spans_name_the_line(row, message, tmp_path: Path) -> None:
    path = write(tmp_path, "s.csv", f"file,start_s,end_s,class\n{row}\n")
    with pytest.raises(TruthError, match=message):
        load_truth([path])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.json", "{", "not valid JSON"),
        ("t.json", "[" * 100_000, "not valid JSON"),
        ("t.json", "{}", "not a truth file"),
        ("t.json", b"\xff\xfe", "UTF-8"),
        ("notes.txt", "hello", "not a truth file"),
        ("t.csv", "a,b\n", "not a truth file"),
        ("t.bin", "x", "not a truth file"),
    ],
)
def test_files_that_are_no_truth_say_so(name, content, message, tmp_path: Path) -> None:
    with pytest.raises(TruthError, match=message):
        load_truth([write(tmp_path, name, content)])


def test_missing_paths_and_empty_folders_say_so(tmp_path: Path) -> None:
    for missing in ("gone.json", "gone", "gone.txt"):
        with pytest.raises(TruthError, match="gone"):
            load_truth([tmp_path / missing])
    with pytest.raises(TruthError, match="no truth found"):
        load_truth([tmp_path])


def test_a_folder_combines_formats_and_lists_what_is_no_truth(tmp_path: Path) -> None:
    write(tmp_path, "t.json", coco())
    write(tmp_path, "s.csv", "file,start_s,end_s,class\na.mp4,0,1,gun\n")
    write(tmp_path, "README.txt", "hello")
    truth = load_truth([tmp_path])
    assert truth.sources == ("s.csv", "t.json") and truth.skipped == ("README.txt",)
    only = load_truth([tmp_path / "s.csv"], "spans")
    assert only.sources == ("s.csv",)


def test_a_given_format_is_held_to(tmp_path: Path) -> None:
    path = write(tmp_path, "t.json", coco())
    assert load_truth([path], "coco").media
    with pytest.raises(TruthError, match="no list of spans"):
        load_truth([path], "spans")
    with pytest.raises(TruthError, match="unknown truth format"):
        load_truth([path], "xml")


def test_prose_in_a_folder_of_labels_is_no_label(tmp_path: Path) -> None:
    write(tmp_path, "labels/README.txt", "made by hand")
    write(tmp_path, "labels/a.txt", "0 0.5 0.5 0.2 0.2")
    assert load_truth([tmp_path / "labels"]).skipped == ("README.txt",)
    write(tmp_path, "labels/b.txt", "made by hand")
    with pytest.raises(TruthError, match=r"b\.txt:1"):
        load_truth([tmp_path / "labels"])


def test_a_mot_row_far_out_costs_no_memory(tmp_path: Path) -> None:
    media = load_truth([write(tmp_path, "clip.mot.txt", "3000000,1,1,1,5,5")]).media[0]
    assert len(media.frames) == 3_000_000 and not media.ignored.any()
