"""What goes on beside what on a device: copies to it, the detector, and the work after it.

Three streams. While the detector works on one batch, the next is on its way from page-locked
memory, and the boxes and crops of the one before are finished. For tensors of the CPU the same
calls go to `torch.cpu`, whose streams do everything at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from forensics.cascade.on_device import load_torch
from forensics.types import ImageArray

GPU, TENSORS = "cuda", "cpu"  # PyTorch's names
STAGES = 2  # buffers that take turns: one is filled while the other is copied


class Lanes:
    """The streams of `device`. All calls come from one thread.

    `handle` gives the raw handle of the stream that is current, for other libraries.
    """

    def __init__(self, device: str) -> None:
        torch = load_torch()
        self.device = device
        self._streams: Any = torch.cuda if device == GPU else torch.cpu
        self._copying, self._looking, self._finishing = (self._streams.Stream() for _ in range(3))
        self._stages = [_Stage(device, self._streams) for _ in range(STAGES)]
        self.handle: Callable[[], int] = self._handle if device == GPU else lambda: 0

    def bring(self, pictures: Sequence[ImageArray]) -> tuple[Any, ...]:
        """Start copying uint8 arrays (bytes,) to the device; what is `looking` waits for them."""
        stage = self._stages[0]
        self._stages.append(self._stages.pop(0))
        sizes = [len(picture) for picture in pictures]
        filled = stage.fill(pictures, sum(sizes))
        with self._streams.stream(self._copying):
            there = filled.to(self.device, non_blocking=True, copy=True)
        stage.copied.record(self._copying)
        self._looking.wait_event(stage.copied)
        self.hold(there, self._looking, self._finishing)
        return tuple(there.split(sizes))

    def looking(self) -> AbstractContextManager[Any]:
        """What is called within is put on the detector's stream."""
        found: AbstractContextManager[Any] = self._streams.stream(self._looking)
        return found

    def looked(self, results: Sequence[Any]) -> Any:
        """An event after all that the detector's stream has been given; `results` came of it."""
        event = self._streams.Event()
        event.record(self._looking)
        for result in results:
            self.hold(result, self._finishing)
        return event

    def finishing(self, after: Any) -> AbstractContextManager[Any]:
        """What is called within starts when the event `after` has come."""
        self._finishing.wait_event(after)
        found: AbstractContextManager[Any] = self._streams.stream(self._finishing)
        return found

    def hold(self, tensor: Any, *streams: Any) -> None:
        """Its memory is not given to others before `streams` are done with it."""
        if self.device == GPU:
            for stream in streams:
                tensor.record_stream(stream)

    def _handle(self) -> int:
        return int(self._streams.current_stream().cuda_stream)


class _Stage:
    """Page-locked memory for one batch on its way; `copied` is the end of its last copy."""

    def __init__(self, device: str, streams: Any) -> None:
        self._pinned = device == GPU  # also a copy from other memory would make the host wait
        self._memory = self._new(0)
        self.copied = streams.Event()

    def fill(self, pictures: Sequence[ImageArray], size: int) -> Any:
        """The pictures one after the other, uint8 (size,), once the last copy is done."""
        self.copied.synchronize()
        if len(self._memory) < size:
            self._memory = self._new(size)
        filled = self._memory[:size]
        np.concatenate(pictures, out=filled.numpy())
        return filled

    def _new(self, size: int) -> Any:
        torch = load_torch()
        return torch.empty(size, dtype=torch.uint8, pin_memory=self._pinned)
