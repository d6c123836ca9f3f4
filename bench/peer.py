"""`yolo predict` on a clip, in a process of its own: python -m bench.peer CLIP ENGINE.

ENGINE: onnx; openvino, which computes in bfloat16 where the CPU has it, without saying so; or
openvino-fp32, made to compute in single precision as our scans do.
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


def model_for(engine: str, folder: Path) -> Path:
    """The bundled detector in the form that ultralytics wants for `engine`."""
    source = load_cascade("handgun").detector.files["fp32"].path
    if engine == "onnx":
        return Path(shutil.copy(source, folder / "detector.onnx"))
    import openvino as ov

    if engine == "openvino-fp32":
        _force_fp32(ov)
    target = folder / "detector_openvino_model"
    ov.save_model(ov.convert_model(source), target / "detector.xml", compress_to_fp16=False)
    names = "names:\n  0: gun\n"
    (target / "metadata.yaml").write_text(
        f"task: detect\nstride: 32\nbatch: 1\nimgsz: [640, 640]\nargs: {{dynamic: false}}\n{names}"
    )
    return target


def _force_fp32(ov: Any) -> None:
    compile_model = ov.Core.compile_model

    def in_fp32(core: Any, model: Any, device_name: Any = "CPU", config: Any = None) -> Any:
        wanted = {**(config or {}), "INFERENCE_PRECISION_HINT": "f32"}
        return compile_model(core, model, device_name, wanted)

    ov.Core.compile_model = in_fp32


def main() -> None:
    """Print {"frames_per_s": ...}; the first frames (loading, warm-up) are not counted."""
    clip, engine = sys.argv[1], sys.argv[2]
    with tempfile.TemporaryDirectory() as folder:
        # Its settings belong to this run, and it must install nothing.
        os.environ |= {"YOLO_CONFIG_DIR": folder, "YOLO_AUTOINSTALL": "false"}
        from ultralytics import YOLO

        model = YOLO(str(model_for(engine, Path(folder))), task="detect")
        results = model.predict(clip, stream=True, imgsz=640, rect=False, conf=0.05, verbose=False)
        count, started = 0, 0.0
        for number, _ in enumerate(results):
            if number == 20:
                started = time.perf_counter()
            count += number > 20
        rate = count / (time.perf_counter() - started)
    print(json.dumps({"frames_per_s": rate}))


if __name__ == "__main__":
    main()
