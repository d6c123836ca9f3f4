"""Killed, interrupted or out of space, and run again: the log is the one of a quiet run."""

from __future__ import annotations

import json
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from forensics.errors import EXIT_EXPECTED, EXIT_INCOMPLETE, EXIT_INTERRUPTED
from tests.support.scans import (
    COMMAND,
    ROOT,
    fingerprint,
    run_command,
    scan_arguments,
    start_command,
)

KILLS = 10
SEED = 20261


def committed(run: Path) -> int:
    return len(list(run.glob("frames/*.parquet")))


def test_killed_ten_times_and_run_again_gives_the_same_log(
    archive: Path, reference_run: Path, tmp_path: Path
) -> None:
    """Half of the kills hit a durable step (sync, rename, commit), half any moment.

    The latter are timed from the first new part on, so that they hit on slow machines and fast.
    """
    dice = random.Random(SEED)
    run = tmp_path / "run"
    killed, grown = 0, set()
    for number in range(KILLS):
        environment = dict(os.environ)
        if number % 2:
            environment["FORENSICS_TEST_KILL_AT"] = str(dice.randrange(3, 26))
        before = committed(run)
        process = start_command(scan_arguments(archive, run), env=environment)
        if number % 2 == 0:
            while committed(run) == before and process.poll() is None:
                time.sleep(0.005)
            time.sleep(dice.uniform(0, 0.1))
            process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        killed += process.returncode == -signal.SIGKILL
        grown.add(committed(run))
    assert killed >= KILLS // 2, "the scan ended too soon for this test to mean anything"
    assert len(grown) > 2, "the kills did not hit different stages"
    code, _, errors = run_command(scan_arguments(archive, run))
    assert code == 0, errors
    assert fingerprint(run) == fingerprint(reference_run)
    code, output, _ = run_command(["verify", str(run)])
    assert code == 0, output


@pytest.mark.parametrize("polite", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_scan_saves_its_state_and_goes_on(
    archive: Path, reference_run: Path, tmp_path: Path, polite: signal.Signals
) -> None:
    run = tmp_path / "run"
    process = start_command(scan_arguments(archive, run))
    deadline = time.monotonic() + 60
    while not committed(run) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(polite)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == EXIT_INTERRUPTED, errors
    assert "run the same command again" in output
    assert json.loads((run / "run.json").read_bytes())["status"] == "partial"
    code, output, _ = run_command(["verify", str(run)])
    assert code == EXIT_INCOMPLETE, output
    assert "every hash is as recorded" in output
    assert "status of the scan: partial; of 10 files, " in output
    code, _, errors = run_command(scan_arguments(archive, run))
    assert code == 0, errors
    assert fingerprint(run) == fingerprint(reference_run)
    assert json.loads((run / "run.json").read_bytes())["status"] == "complete"


def test_int8_in_other_batches_after_a_kill_gives_the_same_log(
    archive: Path, tmp_path: Path
) -> None:
    """What the default runs on CPUs, interrupted, and gone on with other batches and threads."""

    def arguments(run: Path, batch: int, threads: int) -> list[str]:
        sizes = f"--imgsz 64 --floor 0.0001 --gate 0.004 --max-det 2 --batch {batch}"
        how = f"--recursive --backend openvino --precision int8 --threads {threads}"
        return ["scan", str(archive), "--out", str(run), *how.split(), *sizes.split()]

    quiet, run = tmp_path / "quiet", tmp_path / "run"
    code, _, errors = run_command(arguments(quiet, 4, 1))
    assert code == 0, errors
    process = start_command(arguments(run, 3, 2))
    while process.poll() is None and committed(run) < 2:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    code, _, errors = run_command(arguments(run, 7, 1))
    assert code == 0, errors
    assert fingerprint(run) == fingerprint(quiet)


def test_decoders_do_not_outlive_a_killed_scan(archive: Path, tmp_path: Path) -> None:
    process = start_command(scan_arguments(archive, tmp_path / "run"))
    children: list[int] = []
    deadline = time.monotonic() + 60
    while not children and time.monotonic() < deadline:
        listed = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        children = [int(pid) for pid in listed.read_text().split()]
        threads = Path(f"/proc/{process.pid}/task").glob("*/children")
        children += [int(pid) for path in threads for pid in path.read_text().split()]
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 20
    while any(map(is_alive, children)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert children
    assert not any(map(is_alive, children))


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def can_mount() -> bool:
    if os.geteuid() != 0:
        return False
    command = ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        return False


@pytest.mark.skipif(not can_mount(), reason="a full disk can only be made by root")
def test_full_disk_is_one_clear_line_and_the_scan_goes_on(
    archive: Path, reference_run: Path, tmp_path: Path
) -> None:
    """One disk, three sizes too small and then one that is large enough."""
    disk, kept = tmp_path / "disk", tmp_path / "kept"
    disk.mkdir()
    scan = shlex.join([*COMMAND, *scan_arguments(archive, disk / "run")])
    steps = [f"mount -t tmpfs -o size=40k tmpfs {shlex.quote(str(disk))}"]
    for number, size in enumerate(("40k", "120k", "184k", "16m")):
        steps.append(f"mount -o remount,size={size} {shlex.quote(str(disk))}")
        steps.append(f"{scan} >{tmp_path}/{number}.out 2>{tmp_path}/{number}.err")
        steps.append(f"echo $? >{tmp_path}/{number}.code")
    steps.append(f"cp -r {shlex.quote(str(disk))}/run {shlex.quote(str(kept))}")
    subprocess.run(["unshare", "-m", "sh", "-c", "\n".join(steps)], cwd=ROOT, check=True)
    codes = [int((tmp_path / f"{number}.code").read_text()) for number in range(4)]
    errors = [(tmp_path / f"{number}.err").read_text() for number in range(4)]
    assert codes == [EXIT_EXPECTED] * 3 + [0], errors
    for text in errors[:3]:
        line = text.strip().splitlines()[-1]
        assert line.startswith("error: ")
        assert "space" in line or "full" in line
        assert "Traceback" not in text
    assert fingerprint(kept) == fingerprint(reference_run)


OPEN_LEDGER = """
import sys
from pathlib import Path
from forensics.errors import RunLogError
from forensics.runlog.ledger import Ledger
try:
    Ledger(Path(sys.argv[1]), "0" * 64).close()
except RunLogError as error:
    print(error)
"""


@pytest.mark.skipif(not can_mount(), reason="a full disk can only be made by root")
@pytest.mark.parametrize("left", [0, 4096, 8192, 16384, 32768, 49152])
def test_a_disk_that_is_full_when_the_ledger_is_made_is_called_full(
    tmp_path: Path, left: int
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    place, code = shlex.quote(str(disk)), shlex.quote(OPEN_LEDGER)
    steps = [
        f"mount -t tmpfs -o size=256k tmpfs {place}",
        f"head -c {256 * 1024 - left} /dev/zero >{place}/other",
        f"{shlex.quote(sys.executable)} -c {code} {place}",
    ]
    command = ["unshare", "-m", "sh", "-c", " && ".join(steps)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert "the disk is full; free some space" in done.stdout
    assert "damaged" not in done.stdout and "Traceback" not in done.stderr
