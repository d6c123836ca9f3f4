"""Pascal VOC: corners from 1, both inside; `difficult`; names."""

from __future__ import annotations

from pathlib import Path

import pytest

from forensics.errors import TruthError
from forensics.truth import load_truth

from .test_readers import write

SIZE = "<size><width>100</width><height>50</height><depth>3</depth></size>"


def voc(objects: str = "", name: str = "<filename>a.jpg</filename>") -> str:
    return f"<annotation><folder>x</folder>{name}{SIZE}{objects}</annotation>"


def item(corners: tuple[object, ...] = (1, 1, 10, 20), rest: str = "", name: str = "gun") -> str:
    tags = zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
    box = "".join(f"<{tag}>{value}</{tag}>" for tag, value in tags)
    return f"<object><name>{name}</name>{rest}<bndbox>{box}</bndbox></object>"


def test_corners_count_from_one_and_lie_inside(tmp_path: Path) -> None:
    hard = item((1, 1, 1, 1), "<difficult>1</difficult>", "bag")
    write(tmp_path, "set/Annotations/a.xml", voc(item() + hard))
    write(tmp_path, "set/Annotations/b.xml", voc(name="<filename>b.jpg</filename>"))
    truth = load_truth([tmp_path])
    full, empty = truth.media
    assert full.name == (tmp_path / "set" / "JPEGImages" / "a.jpg").as_posix()
    assert full.boxes.xyxy.tolist() == [[0, 0, 10, 20], [0, 0, 1, 1]]
    assert full.boxes.ignore.tolist() == [False, True] and full.suffix_known
    assert empty.frames.tolist() == [0] and len(empty.boxes) == 0
    assert truth.classes == ("gun", "bag")


def test_frames_of_a_video_come_from_several_files(tmp_path: Path) -> None:
    for frame in (3, 12):
        name = f"<filename>cam/clip.mp4#{frame}</filename>"
        write(tmp_path, f"{frame}.xml", voc(item(), name))
    write(tmp_path, "z.xml", voc("<ignore>1</ignore>", "<filename>cam/clip.mp4#20</filename>"))
    (media,) = load_truth([tmp_path]).media
    assert media.name == "cam/clip.mp4" and media.frames.tolist() == [3, 12, 20]
    assert media.ignored.tolist() == [False, False, True]


def test_without_a_filename_the_label_file_names_the_picture(tmp_path: Path) -> None:
    media = load_truth([write(tmp_path, "p.xml", voc(name=""))], "voc").media[0]
    assert media.name.endswith("/p") and not media.suffix_known


def test_unusable_boxes_are_listed(tmp_path: Path) -> None:
    truth = load_truth([write(tmp_path, "a.xml", voc(item((20, 1, 10, 5)) + item()))])
    assert truth.media[0].ignored.tolist() == [True] and len(truth.media[0].boxes) == 1
    assert truth.problems[0].where == "a.xml: object 0"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (voc(item(("x", 1, 2, 3))), "object 0: xmin is 'x'"),
        (voc("<object><name>gun</name></object>"), "object 0: xmin is ''"),
        (voc(item(name="")), "object 0: has no name"),
        (voc(item(rest="<difficult>perhaps</difficult>")), "difficult is 'perhaps'"),
        (voc(item(("1e400", 1, 2, 3))), "xmin"),
        ("<annotation>", "not valid XML"),
        ("<other/>", "not a truth file"),
        (f"<!DOCTYPE a>{voc()}", "document type"),
    ],
)
def test_bad_files_name_the_entry(content: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(TruthError, match=message) as caught:
        load_truth([write(tmp_path, "a.xml", content)])
    assert "a.xml" in str(caught.value)


def test_one_picture_in_two_files_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "a.xml", voc())
    write(tmp_path, "b.xml", voc())
    with pytest.raises(TruthError, match=r"b\.xml.*in a\.xml already"):
        load_truth([tmp_path])
