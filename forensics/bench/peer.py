"""`yolo predict` on a clip, in a process of its own: python -m forensics.bench.peer CLIP ENGINE.

It loads the network once, says "ready", and answers each line N on its input with the frames/s over
the first N frames of the clip.

ENGINE: pytorch; onnx; openvino, which computes in bfloat16 where the CPU has it, without saying so;
or openvino-fp32, made to compute in single precision as our FP32 scans do. These take the picture's
shape (rect, as ultralytics does by default); openvino-square-fp32 is a file as exported by default,
for 640 x 640 alone. The weights are those
of the bundled detector's FP32 file; for PyTorch, where weights of ours cannot be had in its own
form, a network of the same architecture (YOLO11n) with one class, which costs the same.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from forensics.cascade.definition import load_cascade

WARM_UP = 5
ENGINES = ("openvino-fp32", "openvino-square-fp32", "openvino", "onnx", "pytorch")


def main() -> None:
    """Serve rates until the input ends; the first frames of each (start-up) are not counted."""
    clip, engine = sys.argv[1], sys.argv[2]
    with tempfile.TemporaryDirectory() as folder:
        # Its settings belong to this run, and it must install nothing.
        os.environ |= {"YOLO_CONFIG_DIR": folder, "YOLO_AUTOINSTALL": "false"}
        model = _model(engine, Path(folder))
        _rate(model, clip, 1)
        print("ready", flush=True)
        for line in sys.stdin:
            print(json.dumps({"frames_per_s": _rate(model, clip, int(line))}), flush=True)


def _rate(model: Any, clip: str, n_frames: int) -> float:
    count, started = 0, 0.0
    results = model.predict(
        clip, stream=True, imgsz=640, conf=0.05, device="cpu", verbose=False
    )
    for number, _ in enumerate(results):
        if number == WARM_UP:
            started = time.perf_counter()
        count += number > WARM_UP
        if count == n_frames:
            break
    return count / (time.perf_counter() - started)


def _model(engine: str, folder: Path) -> Any:
    from ultralytics import YOLO

    if engine == "pytorch":
        config = folder / "yolo11n.yaml"
        shipped = Path(sys.modules["ultralytics"].__file__ or "").parent / "cfg" / "models" / "11"
        text = (shipped / "yolo11.yaml").read_text().replace("nc: 80", "nc: 1")
        config.write_text(text)
        return YOLO(str(config), task="detect")
    return YOLO(str(_file_for(engine, folder)), task="detect")


def _file_for(engine: str, folder: Path) -> Path:
    """The bundled detector in the form that ultralytics wants for `engine`."""
    source = load_cascade("handgun").detector.files["fp32"].path
    if engine == "onnx":
        return Path(shutil.copy(source, folder / "detector.onnx"))
    import openvino as ov

    if engine.endswith("fp32"):
        _force_fp32(ov)
    square = "square" in engine
    target = folder / "detector_openvino_model"
    network = ov.convert_model(source)
    if square:
        network.reshape([1, 3, 640, 640])
    ov.save_model(network, target / "detector.xml", compress_to_fp16=False)
    names = "names:\n  0: gun\n"
    (target / "metadata.yaml").write_text(
        "task: detect\nstride: 32\nbatch: 1\nimgsz: [640, 640]\n"
        f"args: {{dynamic: {str(not square).lower()}}}\n{names}"
    )
    return target


def _force_fp32(ov: Any) -> None:
    compile_model = ov.Core.compile_model

    def in_fp32(core: Any, model: Any, device_name: Any = "CPU", config: Any = None) -> Any:
        wanted = {**(config or {}), "INFERENCE_PRECISION_HINT": "f32"}
        return compile_model(core, model, device_name, wanted)

    ov.Core.compile_model = in_fp32


if __name__ == "__main__":
    main()
