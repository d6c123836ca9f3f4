"""CVAT for video: what CVAT writes, what it means, and files that are meant to harm."""

from __future__ import annotations

from pathlib import Path

import pytest

from forensics.errors import TruthError
from forensics.truth import WRITERS, Truth, load_truth
from forensics.truth.base import MediaBuilder
from forensics.truth.values import read_xml

from .test_readers import write

META = """<meta><task><size>4</size><start_frame>2</start_frame><stop_frame>20</stop_frame>
<frame_filter>step=6</frame_filter><original_size><width>100</width><height>50</height>
</original_size><source>clip.mp4</source>
<labels><label><name>gun</name></label><label><name>bag</name></label></labels></task></meta>"""
BOX = 'xtl="10" ytl="10" xbr="20" ybr="30"'


def xml(tracks: str, meta: str = META) -> str:
    return f'<?xml version="1.0" encoding="utf-8"?><annotations>{meta}{tracks}</annotations>'


def read(folder: Path, tracks: str, meta: str = META):
    return load_truth([write(folder, "t.xml", xml(tracks, meta))])


def test_a_task_that_leaves_frames_out_keeps_the_numbers_of_its_source(tmp_path: Path) -> None:
    """As CVAT writes it: every frame of the task, and outside where the object is gone."""
    truth = read(
        tmp_path,
        f'<track id="0" label="gun"><box frame="2" keyframe="1" outside="0" {BOX}/>'
        f'<box frame="8" keyframe="0" outside="0" {BOX}/>'
        f'<box frame="14" keyframe="1" outside="1" {BOX}/></track>',
    )
    media = truth.media[0]
    assert (media.name, media.suffix_known) == ("clip.mp4", True)
    assert media.frames.tolist() == [2, 8, 14, 20]
    assert media.boxes.frame_index.tolist() == [2, 8]
    assert media.boxes.xyxy[0].tolist() == [10, 10, 20, 30]
    assert truth.classes == ("gun",) and truth.declared == ("gun", "bag") and not truth.problems


def test_gaps_between_keyframes_are_interpolated(tmp_path: Path) -> None:
    truth = read(
        tmp_path,
        f'<track id="0" label="gun"><box frame="20" xtl="40" ytl="10" xbr="50" ybr="30"/>'
        f'<box frame="2" keyframe="1" outside="0" {BOX}/></track>',
    )
    boxes = truth.media[0].boxes
    assert boxes.frame_index.tolist() == [2, 8, 14, 20]
    assert boxes.xyxy[:, 0].tolist() == [10, 20, 30, 40]


def test_a_box_before_an_outside_one_stays_where_it_is(tmp_path: Path) -> None:
    truth = read(
        tmp_path,
        f'<track id="0" label="gun"><box frame="2" {BOX}/>'
        '<box frame="14" outside="1" xtl="90" ytl="10" xbr="95" ybr="30"/></track>',
    )
    boxes = truth.media[0].boxes
    assert boxes.frame_index.tolist() == [2, 8] and set(boxes.xyxy[:, 0]) == {10}


def test_a_track_without_an_end_stays_to_the_end_and_is_listed(tmp_path: Path) -> None:
    truth = read(tmp_path, f'<track id="7" label="gun"><box frame="8" {BOX}/></track>')
    assert truth.media[0].boxes.frame_index.tolist() == [8, 14, 20]
    assert "track 7, shape 0" in truth.problems[0].where


def test_an_outside_box_behind_the_task_is_how_cvat_ends_a_shape(tmp_path: Path) -> None:
    truth = read(
        tmp_path,
        f'<track id="0" label="gun"><box frame="20" outside="0" {BOX}/>'
        f'<box frame="26" outside="1" {BOX}/></track>',
    )
    assert truth.media[0].boxes.frame_index.tolist() == [20] and not truth.problems


TURNED = f'outside="0" rotation="10" {BOX}'


@pytest.mark.parametrize("gone", [f'rotation="10" {BOX}', BOX])
def test_a_rotated_box_ends_its_track_and_hides_what_is_beside_it(
    gone: str, tmp_path: Path
) -> None:
    truth = read(
        tmp_path,
        f'<track id="0" label="gun"><box frame="2" {BOX}/><box frame="8" {TURNED}/>'
        f'<box frame="14" outside="1" {gone}/></track>',
    )
    media = truth.media[0]
    assert media.boxes.frame_index.tolist() == [2]
    assert media.frames[media.ignored].tolist() == [8]
    assert [problem.what for problem in truth.problems] == [
        "a rotated box is no box; its frame is ignored"
    ]


def test_frames_around_a_rotated_box_are_ignored_up_to_its_neighbours(tmp_path: Path) -> None:
    between = f'<track id="0" label="gun"><box frame="2" {BOX}/><box frame="14" {TURNED}/>'
    media = read(tmp_path, f'{between}<box frame="20" outside="1" {BOX}/></track>').media[0]
    assert media.boxes.frame_index.tolist() == [2]
    assert media.frames[media.ignored].tolist() == [8, 14]
    after = f'<track id="0" label="gun"><box frame="2" {TURNED}/><box frame="14" {BOX}/>'
    media = read(tmp_path, f'{after}<box frame="20" outside="1" {BOX}/></track>').media[0]
    assert media.boxes.frame_index.tolist() == [14]
    assert media.frames[media.ignored].tolist() == [2, 8]


def test_a_rotated_box_outside_the_task_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TruthError, match="frame 50 is none of the task's frames"):
        read(tmp_path, f'<track id="0" label="gun"><box frame="50" {TURNED}/></track>')


@pytest.mark.parametrize("ignore", [False, True])
def test_no_frame_behind_the_task_is_written(ignore: bool, tmp_path: Path) -> None:
    """CVAT's import refuses frames that the task does not have."""
    builder = MediaBuilder("clip.mp4", "t")
    for frame in (2, 8, 14, 20):
        builder.add_frame(frame, ignore=ignore)
        builder.add_box(frame, (10, 10, 20, 30), "gun", "")
    WRITERS["cvat"](Truth((builder.build(),)), tmp_path / "out")
    (path,) = (tmp_path / "out").iterdir()
    boxes = list(read_xml(path, "t").iter("box"))
    assert {int(box.get("frame", -1)) for box in boxes} == {2, 8, 14, 20}
    ends = [int(box.get("frame", -1)) for box in boxes if box.get("outside") == "1"]
    assert sorted(set(ends)) == [8, 14, 20]
    again = load_truth([path])
    assert again.media[0].boxes.frame_index.tolist() == [2, 8, 14, 20] and not again.problems


@pytest.mark.parametrize("name", ["iscrowd", "is_crowd"])
def test_coco_s_crowds_stay_ignore_regions(name: str, tmp_path: Path) -> None:
    tracks = (
        f'<track id="{number}" label="gun"><box frame="20" {BOX}>'
        f'<attribute name="{name}">{value}</attribute></box></track>'
        for number, value in enumerate(["True", "0"])
    )
    truth = read(tmp_path, "".join(tracks))
    assert truth.media[0].boxes.ignore.tolist() == [True, False]


@pytest.mark.parametrize(("step", "stop", "frames"), [(1, 4, [0, 1, 2, 3]), (3, 12, [0, 3, 6, 9])])
def test_a_stop_frame_behind_the_last_is_forgiven(step, stop, frames, tmp_path: Path) -> None:
    meta = (
        f"<meta><task><size>4</size><stop_frame>{stop}</stop_frame>"
        f"<frame_filter>step={step}</frame_filter></task></meta>"
    )
    assert read(tmp_path, "", meta).media[0].frames.tolist() == frames


def test_attributes_say_ignore_and_planted(tmp_path: Path) -> None:
    def box(frame: int, name: str, value: str) -> str:
        return (
            f'<track id="0" label="gun"><box frame="{frame}" {BOX}>'
            f'<attribute name="{name}">{value}</attribute></box>'
            f'<box frame="{frame + 6}" outside="1" {BOX}/></track>'
        )

    media = read(
        tmp_path, box(2, "ignore", "true") + box(8, "planted", "1") + box(14, "ignore", "frame")
    ).media[0]
    assert media.boxes.ignore.tolist() == [True, False]
    assert media.boxes.planted.tolist() == [False, True]
    assert media.ignored.tolist() == [False, False, True, False]


def test_other_shapes_are_boxed_or_ignore_their_frame(tmp_path: Path) -> None:
    truth = read(
        tmp_path,
        '<track id="0" label="gun"><polygon frame="2" points="1,2;9,4;5,8"/>'
        '<polygon frame="8" outside="1" points="1,2;9,4;5,8"/></track>'
        '<track id="1" label="gun"><points frame="8" outside="0" points="1,2"/></track>'
        f'<track id="2" label="gun"><box frame="14" rotation="30.5" {BOX}/></track>',
    )
    media = truth.media[0]
    assert media.boxes.xyxy.tolist() == [[1, 2, 9, 8]]
    # Without an end they are shown to the end of the task, as boxes are.
    assert media.ignored.tolist() == [False, True, True, True]
    assert [(p.where, p.what.split()[-1]) for p in truth.problems] == [
        ("t.xml: track 1, shape 0", "ignored"),
        ("t.xml: track 1, shape 0", "task"),
        ("t.xml: track 2, shape 0", "ignored"),
        ("t.xml: track 2, shape 0", "task"),
    ]


def test_without_meta_only_frames_with_boxes_are_known(tmp_path: Path) -> None:
    truth = read(tmp_path, f'<track id="0" label="gun"><box frame="5" {BOX}/></track>', meta="")
    media = truth.media[0]
    assert (media.name, media.suffix_known, media.frames.tolist()) == ("t", False, [5])
    assert "does not say" in truth.problems[0].what


def test_an_export_of_a_job_names_no_video_so_its_folder_does(tmp_path: Path) -> None:
    """As exports of jobs come: `annotations.xml`, the size beside `job`, open elements."""
    meta = """<meta><job><id>4</id><size>3</size><mode>interpolation</mode>
    <start_frame>0</start_frame><stop_frame>2</stop_frame></job>
    <original_size><width>640</width><height>360</height></original_size></meta>"""
    boxes = "".join(
        f'<box frame="{frame}" keyframe="{int(frame == 0)}" outside="0" occluded="0" {BOX} '
        'z_order="0">\n    </box>'
        for frame in range(3)
    )
    track = f'<track id="0" label="player" source="manual">{boxes}</track>'
    path = write(tmp_path, "clip/annotations.xml", xml(track, meta))
    truth = load_truth([path])
    assert (truth.media[0].name, truth.media[0].suffix_known) == ("clip", False)
    assert truth.media[0].boxes.frame_index.tolist() == [0, 1, 2] and not truth.problems


@pytest.mark.parametrize(
    ("tracks", "meta", "message"),
    [
        (f'<track label="g"><box frame="3" {BOX}/></track>', META, "track 0, shape 0: frame 3"),
        (f'<track label="g"><box frame="x" {BOX}/></track>', META, "frame is 'x'"),
        (f'<track label="g"><box {BOX}/></track>', META, "frame is None"),
        (f"<track><box frame='2' {BOX}/></track>", META, "label is None"),
        ('<track label="g"><box frame="2"/></track>', META, "xtl is None"),
        (f'<track label="g"><box frame="2" outside="maybe" {BOX}/></track>', META, "outside"),
        (f'<track label="g"><box frame="2" {BOX}/><box frame="2" {BOX}/></track>', META, "twice"),
        ("<image/>", META, "made for images"),
        ("", "<meta><project/></meta>", "a whole project"),
        ("", META.replace("<size>4", "<size>5"), "does not fit"),
        ("", META.replace("step=6", "step=0"), "frame_filter"),
        ("", META.replace("step=6", "every second"), "frame_filter"),
        ("", META.replace("<stop_frame>20", "<stop_frame>99999999999"), "stop_frame"),
    ],
)
def test_bad_files_name_the_entry(tracks, meta, message, tmp_path: Path) -> None:
    with pytest.raises(TruthError, match=message) as caught:
        read(tmp_path, tracks, meta)
    assert str(caught.value).startswith("t.xml") and "\n" not in str(caught.value)


BOMB = '<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;&b;&b;">]>'
LOCAL = '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize("declared", [BOMB, LOCAL, "<!DOCTYPE annotations SYSTEM 'http://x/y'>"])
def test_document_types_are_refused(declared: str, tmp_path: Path) -> None:
    path = write(tmp_path, "t.xml", f"{declared}<annotations><a>&c;</a></annotations>")
    with pytest.raises(TruthError, match="declares a document type"):
        load_truth([path])


@pytest.mark.parametrize("encoding", ["utf-16", "cp037"])
def test_no_encoding_hides_a_document_type(encoding: str, tmp_path: Path) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?>{BOMB}<annotations/>'
    with pytest.raises(TruthError):
        load_truth([write(tmp_path, "t.xml", text.encode(encoding))])
    mixed = f'<?xml version="1.0" encoding="{encoding}"?>'.encode()
    with pytest.raises(TruthError):
        load_truth([write(tmp_path, "t.xml", mixed + BOMB.encode(encoding))])


def test_two_keyframes_far_apart_cost_no_memory(tmp_path: Path) -> None:
    meta = "<meta><task><size>20000000</size><source>a.mp4</source></task></meta>"
    track = f'<track label="g"><box frame="0" {BOX}/><box frame="19999999" {BOX}/></track>'
    with pytest.raises(TruthError, match="interpolation makes more than"):
        read(tmp_path, track, meta)
