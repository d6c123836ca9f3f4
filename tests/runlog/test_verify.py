"""`verify` notices every change to a run, its footage and its models."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from forensics.cascade.definition import ZOO, bundled_models, load_cascade
from forensics.cli.main import run as run_command
from forensics.errors import EXIT_UNVERIFIED, ForensicsError, RunLogError
from forensics.hashes import sha256_of
from forensics.runlog.ledger import Ledger
from forensics.runlog.reader import open_run
from forensics.runlog.verify import SUMS_NAME, verify_run
from tests.support.clips import write_clip
from tests.support.scans import run_small_scan

FLIPS_PER_FILE = 12


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("footage")
    write_clip(folder / "a.mp4", frames=30)
    write_clip(folder / "line\nbreak.mp4", frames=5, first=60)
    shutil.copytree(ZOO / "handgun", folder / "cascade")
    return folder


@pytest.fixture(scope="module")
def finished(footage: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("verify") / "run"
    cascade = load_cascade(str(footage / "cascade"))
    run_small_scan(footage, run, cascade=cascade, max_detections=1)
    return run


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def problems(run: Path, *, footage: bool = True) -> list[str]:
    found = verify_run(run, footage=footage)
    return [f"{item.kind} {item.name}: {item.problem}" for item in found if item.problem]


def test_a_finished_run_verifies(run: Path) -> None:
    kinds = [finding.kind for finding in verify_run(run)]
    assert problems(run) == []
    assert (kinds.count("input"), kinds.count("model"), kinds.count("part")) == (2, 2, 6)
    assert kinds.count("table") == 5


def test_every_file_of_the_run_is_watched(run: Path) -> None:
    """One flipped bit anywhere, in any file, is reported; none is taken for a bug."""
    dice = random.Random(20261)
    files = sorted(path for path in run.rglob("*") if path.is_file() and path.name != ".lock")
    assert len(files) == 6 + 5 + 1
    for path in files:
        data = path.read_bytes()
        for _ in range(FLIPS_PER_FILE):
            bit = dice.randrange(8 * len(data))
            mutant = bytearray(data)
            mutant[bit // 8] ^= 1 << bit % 8
            path.write_bytes(mutant)
            assert problems(run, footage=False), f"bit {bit} of {path.name}"
        path.write_bytes(data)
    assert problems(run) == []


def test_damage_is_reported_with_exit_code_4(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["verify", str(run)]) == 0
    assert "every hash is as recorded" in capsys.readouterr().out
    for name in ("run.json", "ledger.sqlite", "media.parquet"):
        data = (run / name).read_bytes()
        (run / name).write_bytes(data[: len(data) // 2])
        assert run_command(["verify", str(run)]) == EXIT_UNVERIFIED, name
        said = capsys.readouterr()
        assert name in said.out
        assert said.err.count("\n") == 1
        (run / name).write_bytes(data)


def remove_part(run: Path) -> str:
    part = next(run.glob("detections/*.parquet"))
    part.unlink()
    return part.name


def stray_part(run: Path) -> str:
    part = next(run.glob("frames/*.parquet"))
    shutil.copy(part, part.with_name("extra.parquet"))
    return "extra.parquet"


def stray_note(run: Path) -> str:
    (run / "frames" / "note.txt").write_text("slipped in")
    return "note.txt"


def swapped_parts(run: Path) -> str:
    one, two = sorted(run.glob("frames/*.parquet"))[:2]
    kept = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(kept)
    return one.name


def removed_line(run: Path) -> str:
    lines = (run / SUMS_NAME).read_text().splitlines(keepends=True)
    (run / SUMS_NAME).write_text("".join(line for line in lines if "media.parquet" not in line))
    return "media.parquet"


def note_at_the_top(run: Path) -> str:
    (run / "note.txt").write_text("slipped in")
    return "note.txt"


def hidden_file(run: Path) -> str:
    (run / "frames" / ".hidden").write_text("slipped in")
    return ".hidden"


def linked_folder(run: Path) -> str:
    (run / "more").symlink_to(run / "frames")
    return "more"


def changed_picture(run: Path) -> str:
    (run / "evidence").mkdir()
    name = hashlib.sha256(b"a picture").hexdigest() + ".jpg"
    (run / "evidence" / name).write_bytes(b"another picture")
    return name


def no_picture(run: Path) -> str:
    (run / "evidence").mkdir()
    (run / "evidence" / "gun.jpg").write_bytes(b"a picture")
    return "gun.jpg"


def removed_sums(run: Path) -> str:
    (run / SUMS_NAME).unlink()
    return SUMS_NAME


@pytest.mark.parametrize(
    "change",
    [
        remove_part,
        stray_part,
        stray_note,
        swapped_parts,
        removed_line,
        note_at_the_top,
        hidden_file,
        linked_folder,
        changed_picture,
        no_picture,
        removed_sums,
    ],
)
def test_what_was_taken_away_or_slipped_in(run: Path, change: Callable[[Path], str]) -> None:
    name = change(run)
    assert any(name in problem for problem in problems(run))


def test_pictures_for_reports_may_come_later(run: Path) -> None:
    (run / "evidence").mkdir()
    name = hashlib.sha256(b"a picture").hexdigest()
    (run / "evidence" / f"{name}.jpg").write_bytes(b"a picture")
    (run / "evidence" / f"{name}.json").write_text("{}")
    (run / ".lock").touch()
    assert problems(run) == []


# In a process that ends without closing the ledger, as a crash or a forger would leave it.
FORGE = """
import os, sqlite3, sys
db = sqlite3.connect(sys.argv[1])
if sys.argv[2] == "wal":
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA wal_autocheckpoint = 0")
first = db.execute("SELECT source_id FROM segments ORDER BY source_id").fetchone()
db.execute("UPDATE segments SET first_media_id = 'x' WHERE source_id = ?", first)
db.execute("UPDATE media SET done = 0")
db.commit()
if sys.argv[2] != "wal":
    db.close()
os._exit(0)
"""


def forge(run: Path, how: str = "wal") -> None:
    """Commit an edit of the ledger; with "wal", to the journal beside it alone."""
    ledger = str(run / "ledger.sqlite")
    subprocess.run([sys.executable, "-c", FORGE, ledger, how], check=True)


def test_a_journal_beside_the_ledger_changes_nothing_and_is_reported(run: Path) -> None:
    before = open_run(run).frames.read()
    kept = (run / "ledger.sqlite").read_bytes()
    forge(run)
    assert (run / "ledger.sqlite").read_bytes() == kept
    assert (run / "ledger.sqlite-wal").stat().st_size > 0
    assert open_run(run).frames.equals(before)
    named = {problem.partition(": ")[0] for problem in problems(run)}
    assert named == {"table ledger.sqlite-wal", "table ledger.sqlite-shm"}


@pytest.mark.parametrize("kind", ["wal", "journal"])
def test_a_journal_beside_a_sealed_ledger_is_not_taken_in(run: Path, kind: str) -> None:
    kept = (run / "ledger.sqlite").read_bytes()
    forge(run)
    (run / "ledger.sqlite-wal").rename(run / f"ledger.sqlite-{kind}")
    config_hash = json.loads((run / "run.json").read_bytes())["config_hash"]
    with pytest.raises(RunLogError, match=f"ledger.sqlite-{kind} lies beside"):
        Ledger(run, config_hash)
    assert (run / "ledger.sqlite").read_bytes() == kept


def test_a_journal_is_reported_though_the_sums_list_it(run: Path) -> None:
    forge(run)
    (run / "ledger.sqlite-shm").unlink()
    seal_again(run, "ledger.sqlite-wal")
    (found,) = problems(run)
    assert "ledger.sqlite-wal: is a journal" in found


def test_segments_of_footage_that_no_table_names_are_no_silent_loss(run: Path) -> None:
    forge(run, "in place")
    with pytest.raises(RunLogError, match=r"committed segments.*was changed after.*verify"):
        open_run(run)


def test_all_is_in_the_sealed_file_though_somebody_reads_along(run: Path) -> None:
    """The last to close a journal removes it; a reader that stays longer must not keep it."""
    config_hash = json.loads((run / "run.json").read_bytes())["config_hash"]
    (run / SUMS_NAME).unlink()
    writing = Ledger(run, config_hash)
    writing.put_hash("new", 1, 2, "3")
    reading = Ledger(run)
    assert "new" in reading.hashes()
    writing.close()
    assert not list(run.glob("ledger.sqlite-*"))
    (run / SUMS_NAME).touch()
    alone = Ledger(run)
    assert "new" in alone.hashes()
    alone.close()
    reading.close()


def test_changed_footage_and_models(run: Path, footage: Path) -> None:
    for name in ("a.mp4", "line\nbreak.mp4", "cascade/detector.fp32.onnx"):
        path = footage / name
        kept = path.read_bytes()
        try:
            path.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
            (found,) = problems(run)
            assert "SHA-256 is" in found
            path.rename(footage / "elsewhere")
            (found,) = problems(run)
            assert "cannot be read" in found
            (footage / "elsewhere").rename(path)
        finally:
            path.write_bytes(kept)
    assert problems(run) == []
    assert problems(run, footage=False) == []


def seal_again(run: Path, changed: str) -> None:
    lines = (run / SUMS_NAME).read_text().splitlines()
    kept = [line for line in lines if not line.endswith(f"  {changed}")]
    sums = sorted([*kept, f"{sha256_of(run / changed)}  {changed}"], key=lambda line: line[66:])
    (run / SUMS_NAME).write_text("".join(f"{line}\n" for line in sums))


def test_a_bundled_model_is_found_by_its_hash(run: Path) -> None:
    """The package may be elsewhere now, and earlier versions wrote paths of a working directory."""
    manifest = json.loads((run / "run.json").read_bytes())
    for path in ("/no/such/folder/detector.onnx", "handgun/detector.onnx"):
        manifest["models"][0]["path"] = path
        (run / "run.json").write_text(json.dumps(manifest))
        seal_again(run, "run.json")
        (found,) = problems(run)
        assert "detector.onnx: cannot be read" in found
        assert [f for f in verify_run(run, models=bundled_models()) if f.problem] == []
        assert [f.problem for f in verify_run(run, models={}) if f.problem]


def test_what_was_given_by_relative_paths_verifies_anywhere(
    footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(footage)
    cascade = load_cascade("./cascade")
    run_small_scan(Path("a.mp4"), tmp_path / "run", cascade=cascade)
    monkeypatch.chdir(tmp_path)
    assert problems(tmp_path / "run") == []


def test_a_run_folder_may_have_any_name(run: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(run.parent) + b"/run\xff\xfe"))
    run.rename(odd)
    assert problems(odd) == []
    opened = open_run(odd)
    assert opened.frames.read().num_rows == 35
    assert opened.media.num_rows == 2


def test_json_without_a_bottom_is_damage(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deep = "[" * 100_000
    kept = (run / "run.json").read_bytes()
    (run / "run.json").write_text(deep)
    with pytest.raises(RunLogError, match=r"run\.json is damaged"):
        open_run(run)
    assert run_command(["verify", str(run)]) == EXIT_UNVERIFIED
    assert "run.json is damaged" in capsys.readouterr().out
    (run / "run.json").write_bytes(kept)
    for column in ("segments SET coverage", "media SET row"):
        ledger = sqlite3.connect(run / "ledger.sqlite")
        ledger.execute(f"UPDATE {column} = ?", (deep,))
        ledger.commit()
        ledger.close()
        assert run_command(["verify", str(run)]) == EXIT_UNVERIFIED
        assert "ledger.sqlite is damaged" in capsys.readouterr().out


def test_no_run_at_all(tmp_path: Path) -> None:
    with pytest.raises(RunLogError, match="not a run folder"):
        list(verify_run(tmp_path))
    with pytest.raises(RunLogError, match="not a run folder"):
        list(verify_run(tmp_path / "missing"))
    with pytest.raises(RunLogError, match="not a run folder"):
        open_run(tmp_path)


def test_a_damaged_run_is_not_read(run: Path) -> None:
    part = next(run.glob("detections/*.parquet"))
    data = bytearray(part.read_bytes())
    data[40] ^= 1
    part.write_bytes(data)
    opened = open_run(run)
    with pytest.raises(RunLogError, match="missing or damaged"):
        opened.detections.read()
    part.unlink()
    with pytest.raises(RunLogError, match="missing or damaged"):
        open_run(run)


def test_a_damaged_ledger_is_an_expected_error(run: Path) -> None:
    dice = random.Random(3)
    data = (run / "ledger.sqlite").read_bytes()
    refused = 0
    for _ in range(60):
        mutant = bytearray(data)
        for _ in range(20):
            mutant[dice.randrange(len(mutant))] = dice.randrange(256)
        (run / "ledger.sqlite").write_bytes(mutant)
        try:
            ledger = Ledger(run)
            ledger.segments(), ledger.media(), ledger.hashes()
            ledger.close()
        except ForensicsError:
            refused += 1
    assert refused > 0, "no damage was noticed"


def test_reading_leaves_no_trace(run: Path) -> None:
    """Also on write-protected evidence: no journal appears beside the ledger."""
    before = sorted(path.name for path in run.rglob("*"))
    open_run(run)
    assert problems(run) == []
    assert sorted(path.name for path in run.rglob("*")) == before


def test_parts_that_the_ledger_does_not_name_are_not_read(run: Path) -> None:
    before = open_run(run).frames.num_rows
    stray_part(run)
    assert open_run(run).frames.num_rows == before
