"""A network for pictures of one shape, of which small ones share a request."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from forensics.backends.ov_requests import Requests
from forensics.types import FloatArray, ImageArray

# So many pictures, of no more pixels, share a request. Calling layers takes a fifth of the time of
# one of 120 x 120. More at a time gain a little where many boxes are found, else nothing.
TOGETHER, SMALL = 4, 128 * 128


class Whole:
    """`compiled` makes the network for n pictures. `output`: shape of a picture's result.

    All is compiled at once: in the middle of a scan it would hold that up and take memory anew.
    """

    def __init__(self, compiled: Callable[[int], Requests]) -> None:
        self._one = compiled(1)
        self.output = self._one.outputs[0][1:]
        _, height, width, _ = self._one.given
        self._several = self._shared(compiled) if height * width <= SMALL else None

    def together(self, n: int) -> int:
        """How many of n pictures share a request."""
        return TOGETHER if self._several and n >= TOGETHER else 1

    def run(self, images: ImageArray, results: FloatArray) -> None:
        """Run one picture, or as many as share a request, uint8 (n, h, w, 3); copy the output."""
        requests = self._several if len(images) > 1 else self._one
        assert requests is not None
        with requests.run(images) as (found, *_):
            results[:] = found

    def _shared(self, compiled: Callable[[int], Requests]) -> Requests | None:
        """The network for several pictures; None where they do not give the same, to the bit, as
        alone. OpenVINO promises nothing: other kernels may add in another order. A network may
        also be made for one picture at a time."""
        try:
            several = compiled(TOGETHER)
        except RuntimeError:
            return None
        images = np.random.default_rng(0).integers(0, 256, several.given, np.uint8)
        alone = np.empty((TOGETHER, *self.output), np.float32)
        for number in range(TOGETHER):
            self.run(images[number : number + 1], alone[number : number + 1])
        with several.run(images) as (together, *_):
            return several if np.array_equal(together, alone) else None
