"""What only the OpenVINO engine does."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from forensics.backends import open_engine
from forensics.cascade.definition import load_cascade

spec = load_cascade("handgun").detector
engine = open_engine("openvino", spec.files["fp32"].load("fp32", 64), spec.normalisation, threads=2)
images = np.zeros((4, 64, 64, 3), np.uint8)
with ThreadPoolExecutor(2) as pool:
    print([found.shape for found in pool.map(engine.infer, [images, images[:, :32]])])
"""


def test_first_calls_at_once_do_not_block() -> None:
    """In a process of its own, since only a process's first calls could."""
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True
        )
        assert done.stdout.strip() == "[(4, 5, 84), (4, 5, 42)]"
