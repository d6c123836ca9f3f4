"""A network for pictures of one shape, of which small ones share a request."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from forensics.backends.ov_requests import OPENING, Requests
from forensics.types import FloatArray, ImageArray

# Of the pictures of a request together: four of 120 x 120, where calling layers takes a fifth of
# the time of a single one. More at a time gain a little where many boxes are found, else nothing.
SHARED_PIXELS = 256 * 256


class Whole:
    """`compiled` makes the network for n pictures. `output`: shape of a picture's result."""

    def __init__(self, compiled: Callable[[int], Requests]) -> None:
        self._compiled = compiled
        self._one = compiled(1)
        self._several: Requests | None = None
        self.output = self._one.outputs[0][1:]
        _, height, width, _ = self._one.given
        self._most = SHARED_PIXELS // (height * width)

    def together(self, n: int) -> int:
        """How many of n pictures share a request. A network for that is made when first needed."""
        with OPENING:
            if n < self._most or self._most < 2:
                return 1
            if self._several is None:
                self._several = self._shared()
                self._most = self._most if self._several else 1
            return self._most

    def run(self, images: ImageArray, results: FloatArray) -> None:
        """Run one picture, or as many as share a request, uint8 (n, h, w, 3); copy the output."""
        requests = self._several if len(images) > 1 else self._one
        assert requests is not None
        with requests.run(images) as (found, *_):
            results[:] = found

    def _shared(self) -> Requests | None:
        """The network for several pictures; None where they do not give the same, to the bit, as
        alone. OpenVINO promises nothing: other kernels may add in another order. A network may
        also be made for one picture at a time."""
        try:
            several = self._compiled(self._most)
        except RuntimeError:
            return None
        images = np.random.default_rng(0).integers(0, 256, several.given, np.uint8)
        alone = np.empty((len(images), *self.output), np.float32)
        for number in range(len(images)):
            self.run(images[number : number + 1], alone[number : number + 1])
        with several.run(images) as (together, *_):
            return several if np.array_equal(together, alone) else None
