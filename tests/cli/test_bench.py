"""`forensics bench --gpu-check` writes what it can, and says of the rest why not."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import av
import pytest

from forensics.backends import available_backends
from forensics.cli.main import run
from forensics.scan.gpu_check import compare_scans

SAMPLE = Path(__file__).parents[2] / "datasets" / "sample"
NETWORKS = {
    f"{stage} {precision}"
    for stage in ("detector", "classifier")
    for precision in ("fp32", "fp16", "int8")
}
PARTS = {"gpu", "on_device", "nvdec", "frames_on_gpu", "scan", *NETWORKS}


@pytest.mark.skipif(
    not available_backends()["tensorrt"].startswith("not available"), reason="TensorRT works here"
)
def test_without_a_gpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "gpu.json"
    given = ["bench", "--gpu-check", str(out), "--footage", str(SAMPLE / "table-box.mp4")]
    assert run(given) == 0
    result = json.loads(out.read_text())
    assert set(result) >= PARTS
    for name in PARTS:
        assert result[name]["available"] is False
        assert result[name]["because"]
    for name in {"frames_on_gpu", "scan", *NETWORKS}:  # what the machine lacks, not how we met it
        assert result[name]["because"] == result["gpu"]["because"]
    assert result["installed"]["packages"]["onnxruntime"]
    assert result["installed"]["backends"]["tensorrt"].startswith("not available: the")
    shown = capsys.readouterr()
    assert f"0 of {len(PARTS)} parts measured" in shown.out
    assert "not available, because the" in shown.err


def test_scans_are_compared(tmp_path: Path) -> None:
    """Here of two CPU engines, on one picture with a planted gun and one without."""
    with av.open(str(SAMPLE / "gate-pistol.mp4")) as container:
        frames = list(itertools.islice(container.decode(video=0), 60))
    frames[-1].to_image().save(tmp_path / "gun.png")
    frames[0].to_image().resize((64, 64)).save(tmp_path / "none.png")
    arms = (("onnxruntime", "fp32"), ("openvino", "fp32"))
    found = compare_scans([tmp_path], "handgun", arms)
    assert found["onnxruntime fp32"]["frames"] == found["openvino fp32"]["frames"] == 2
    assert found["onnxruntime fp32"]["alarm_frames"] == found["openvino fp32"]["alarm_frames"] == 1
    assert found["frames_that_alarm_in_one_only"] == 0


def test_a_page_needs_its_first_part(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", "--part", "modes", "--out", str(tmp_path)]) == 2
    assert "--part speed" in capsys.readouterr().err
