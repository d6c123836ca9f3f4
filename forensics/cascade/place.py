"""Where the pictures of a scan are scaled and cut, chosen once, and why there."""

from __future__ import annotations

import os
from dataclasses import dataclass

from forensics.cascade.lanes import GPU, TENSORS
from forensics.cascade.on_device import device_errors, load_torch, try_on
from forensics.errors import BackendError

DECODER = "decoder"


@dataclass(frozen=True, slots=True)
class Place:
    """`where`: the decoding child, or a device of PyTorch's by its name. `why` is for people."""

    where: str = DECODER
    why: str = "the networks run there"

    @property
    def on_device(self) -> bool:
        return self.where != DECODER

    def __str__(self) -> str:
        names = {GPU: "gpu", TENSORS: "cpu tensors"}
        if not self.on_device:
            return f"cpu, because {self.why}"
        return ", ".join(filter(None, (names[self.where], self.why)))


def place_for(backend: str) -> Place:
    """Frames stay on the GPU where TensorRT runs and PyTorch can use the same one."""
    if backend != "tensorrt":
        return Place()
    try:
        return Place(GPU, _pytorch_on_gpu())
    except BackendError as error:
        return Place(why=str(error))


def _pytorch_on_gpu() -> str:
    """PyTorch's version, once it has done on the GPU what will be asked of it."""
    # Sums of several streams are the same every time only with workspaces of a fixed size.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch = load_torch()
    if not torch.cuda.is_available():
        raise BackendError(
            f"PyTorch {torch.__version__} is built without CUDA, or for another driver"
        )
    with device_errors():
        try_on(GPU)
    return f"PyTorch {torch.__version__} beside TensorRT"
