"""Which files are offered to a scan, in which order, under which names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.errors import FootageError
from forensics.footage.find import common_base, display_name, find_inputs, hash_file, passed_over


def names(root: Path | list[Path], **options: bool) -> list[str]:
    roots = root if isinstance(root, list) else [root]
    recursive = options.get("recursive", True)
    return [file.relative for file in find_inputs(roots, recursive=recursive)]


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_natural_order_and_only_footage(tmp_path: Path) -> None:
    touch(*(tmp_path / name for name in ("c10.mp4", "c2.MP4", "c1.avi", "notes.txt", "z.JPG")))
    touch(tmp_path / "cam2" / "a.ts", tmp_path / "cam10" / "a.ts")
    files = ["c1.avi", "c2.MP4", "c10.mp4", "z.JPG"]
    assert names(tmp_path, recursive=False) == files
    assert names(tmp_path) == [*files, "cam2/a.ts", "cam10/a.ts"]


def test_what_is_passed_over_is_counted(tmp_path: Path) -> None:
    touch(*(tmp_path / name for name in ("a.mp4", "b.txt", "c.TXT", "export", "d.dat\x1b")))
    touch(tmp_path / "sub" / "e.jpg", tmp_path / "sub" / "f.xyz")
    flat = {".dat\\x1b": 1, ".txt": 2, "none": 1}
    assert passed_over([tmp_path], recursive=False) == {**flat, "folder": 1}
    assert passed_over([tmp_path, tmp_path], recursive=True) == {**flat, ".xyz": 1}
    assert passed_over([tmp_path / "a.mp4"], recursive=True) == {}


def test_a_named_file_is_taken_whatever_its_ending(tmp_path: Path) -> None:
    touch(tmp_path / "export.bin", tmp_path / "noending")
    assert names([tmp_path / "export.bin", tmp_path / "noending"]) == ["export.bin", "noending"]


def test_a_file_named_twice_is_one_file(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "x.mp4")
    roots = [tmp_path / "a", tmp_path / "a" / "x.mp4", tmp_path / "a" / ".." / "a" / "x.mp4"]
    assert names(roots) == ["x.mp4"]


def test_paths_are_relative_to_what_the_roots_share(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "x.mp4", tmp_path / "b" / "x.mp4")
    assert names([tmp_path / "a", tmp_path / "b"]) == ["a/x.mp4", "b/x.mp4"]
    assert common_base([tmp_path / "a", tmp_path / "b"]) == tmp_path


def test_links_and_special_files_are_refused_and_not_left_out(tmp_path: Path) -> None:
    touch(tmp_path / "real.mp4", tmp_path / "elsewhere" / "secret.mp4")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link.mp4").symlink_to(tmp_path / "real.mp4")
    (folder / "dead.mp4").symlink_to(tmp_path / "nothing")
    (folder / "round").symlink_to(folder)
    (folder / "out").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(folder / "pipe.mp4")
    found = {file.relative: file.refused for file in find_inputs([folder], recursive=True)}
    assert set(found) == {"link.mp4", "dead.mp4", "pipe.mp4", "round", "out"}
    assert "regular file" in found.pop("pipe.mp4")
    assert all("symbolic link" in why for why in found.values())


def test_what_cannot_be_listed_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FootageError, match="cannot read .*check the path"):
        find_inputs([tmp_path / "missing"], recursive=True)
    with pytest.raises(FootageError, match="no footage found"):
        find_inputs([tmp_path], recursive=True)
    touch(tmp_path / "sub" / "a.mp4")
    with pytest.raises(FootageError, match="add --recursive"):
        find_inputs([tmp_path], recursive=False)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list every folder")
def test_a_closed_folder_does_not_hide_the_others(tmp_path: Path) -> None:
    touch(tmp_path / "a.mp4", tmp_path / "closed" / "b.mp4", tmp_path / "open" / "c.mp4")
    (tmp_path / "closed").chmod(0)
    try:
        found = {f.relative: f.refused for f in find_inputs([tmp_path], recursive=True)}
        assert list(found) == ["a.mp4", "closed", "open/c.mp4"]
        assert found["closed"] == "cannot be listed: Permission denied"
        assert passed_over([tmp_path], recursive=True) == {}
        with pytest.raises(FootageError, match="cannot list"):
            find_inputs([tmp_path / "closed"], recursive=True)
    finally:
        (tmp_path / "closed").chmod(0o700)


def bury(top: Path) -> str:
    """Make folders below `top` until the path is too long to be named, with a clip in each; the
    relative path of the first one that cannot be listed."""
    before, name = os.getcwd(), "d" * 250
    path = str(top)
    os.chdir(top)
    try:
        while len(os.fsencode(path)) < os.pathconf("/", "PC_PATH_MAX"):
            os.mkdir(name)
            os.chdir(name)
            path = f"{path}/{name}"
            Path("b.mp4").write_bytes(b"x")
        os.symlink(".", "round")
    finally:
        os.chdir(before)
    return os.path.relpath(path, top)


def test_a_folder_that_cannot_be_listed_does_not_hide_the_others(tmp_path: Path) -> None:
    touch(tmp_path / "a.mp4", tmp_path / "z" / "c.mp4", tmp_path / "z" / "c.txt")
    deep = bury(tmp_path)
    found = {f.relative: f.refused for f in find_inputs([tmp_path], recursive=True)}
    names = list(found)
    assert (names[0], names[-2:]) == ("a.mp4", [deep, "z/c.mp4"])
    assert found[deep] == "cannot be listed: File name too long"
    assert [name for name, why in found.items() if why] == [deep]
    assert len(names) == 3 + deep.count("/"), "a clip in each folder that can be listed"
    assert passed_over([tmp_path], recursive=True) == {".txt": 1}
    files = find_inputs([tmp_path], recursive=True, camera="([a-z])[.]mp4")
    assert {f.relative: f.camera_id for f in files}[deep] == deep, "no rule fits a folder"


@pytest.mark.parametrize(
    ("rule", "cameras"),
    [
        ("folder", ["gate", "gate/old", "top.mp4"]),
        ("file", ["gate/a.mp4", "gate/old/b.mp4", "top.mp4"]),
    ],
)
def test_what_a_camera_is(tmp_path: Path, rule: str, cameras: list[str]) -> None:
    touch(tmp_path / "gate" / "a.mp4", tmp_path / "gate" / "old" / "b.mp4", tmp_path / "top.mp4")
    files = find_inputs([tmp_path], recursive=True, camera=rule)
    assert sorted(file.camera_id for file in files) == cameras


@pytest.mark.parametrize("rule", ["folder", "file"])
def test_naming_another_folder_changes_no_camera(tmp_path: Path, rule: str) -> None:
    touch(*(tmp_path / "day1" / name for name in ("1.mp4", "2.mp4", "gate/3.mp4", "gate/4.mp4")))
    touch(*(tmp_path / "day2" / name for name in ("2.mp4", "5.mp4", "gate/3.mp4", "yard/6.mp4")))

    def cameras(*roots: Path) -> dict[str, str]:
        files = find_inputs(roots, recursive=True, camera=rule)
        return {file.path.relative_to(tmp_path).as_posix(): file.camera_id for file in files}

    alone = cameras(tmp_path / "day1")
    both = cameras(tmp_path / "day1", tmp_path / "day2")
    assert alone.items() <= both.items()
    assert alone["day1/1.mp4"] == "1.mp4"
    gate = {"folder": "gate", "file": "gate/3.mp4"}[rule]
    assert (both["day1/gate/3.mp4"], both["day2/gate/3.mp4"]) == (gate, f"day2/{gate}")
    assert both["day2/2.mp4"] == "day2/2.mp4", "another camera than the 2.mp4 of day1"
    assert len(set(both.values())) == {"folder": 7, "file": 8}[rule]
    named = cameras(tmp_path / "day1" / "1.mp4", tmp_path / "day1" / "2.mp4", tmp_path / "day2")
    assert (named["day1/1.mp4"], named["day1/2.mp4"]) == ("1.mp4", "2.mp4")


def test_cameras_by_pattern(tmp_path: Path) -> None:
    touch(tmp_path / "cam07_1.mp4", tmp_path / "cam08_1.mp4", tmp_path / "cam07_2.mp4")
    files = find_inputs([tmp_path], recursive=True, camera="(cam[0-9]+)")
    assert [file.camera_id for file in files] == ["cam07", "cam07", "cam08"]
    for rule, complaint in (("(", "regular"), ("cam", "no group"), ("(dog)", "does not match")):
        with pytest.raises(FootageError, match=complaint):
            find_inputs([tmp_path], recursive=True, camera=rule)


HOSTILE = [
    b"bad\xff\xfe.mp4",
    b"line\nbreak.mp4",
    b"\x1b[31mred.mp4",
    "‮gpj.mp4".encode(),
    b"<script>alert(1)<img src=x>.mp4",
    b"=cmd|' ' !A0.mp4",
    b"12:30:00.mp4",
    b"%03d.mp4",
    b"-rf.mp4",
    b"a b'c\"d.mp4",
    b"x" * 251 + b".mp4",
    rb"bad\xff\xfe.mp4",
    rb"line\nbreak.mp4",
]


def test_hostile_names_are_shown_apart_and_harmless(tmp_path: Path) -> None:
    for name in HOSTILE:
        with open(os.path.join(os.fsencode(tmp_path), name), "wb") as stream:
            stream.write(name)
    files = find_inputs([tmp_path], recursive=True)
    shown = [file.relative for file in files]
    assert len(set(shown)) == len(shown) == len(HOSTILE)
    for file in files:
        assert file.relative.isprintable()
        assert file.relative.encode("utf-8")
        assert file.path.read_bytes() == os.path.basename(os.fsencode(file.path))


@given(a=st.binary(min_size=1, max_size=12), b=st.binary(min_size=1, max_size=12))
def test_no_two_names_look_the_same(a: bytes, b: bytes) -> None:
    shown = [display_name(os.fsdecode(name)) for name in (a, b)]
    assert (shown[0] == shown[1]) == (a == b)
    assert all(text.isprintable() for text in shown)


def test_hashing_can_be_stopped(tmp_path: Path) -> None:
    path = tmp_path / "large.mp4"
    path.write_bytes(bytes(3 << 20))
    with pytest.raises(OSError, match="stopped"):
        hash_file(path, lambda: True)
    assert len(hash_file(path)) == 64
