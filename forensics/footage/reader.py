"""The parent's side of decoding: start a child per file, lend it memory, receive frames.

A child that dies or falls silent ends as an event, never as an exception: one odd file must not
end a scan.
"""

from __future__ import annotations

import mmap
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np

from forensics.footage import protocol
from forensics.footage.grey import unpack_grey
from forensics.footage.pixels import PLANAR, PixelLayout, unpack_region, unpack_rgb
from forensics.footage.protocol import DecodeRequest
from forensics.types import Frame, ImageArray, Packed, StaticFrame, Status, StreamInfo

DEFAULT_MAX_PIXELS = 50_000_000
RING_BYTES = 256 << 20
MAX_VIEWS_BYTES = RING_BYTES // 2  # of one frame: the ring holds `MIN_SLOTS` at least
MIN_SLOTS = 3
SILENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Opened:
    """A file (stills: item of the chunk) was opened; its header claims `info`."""

    item: int
    info: StreamInfo


@dataclass(frozen=True, slots=True)
class SegmentStart:
    """The frames from `index` on belong to segment `number`."""

    number: int
    index: int
    pts: int | None


@dataclass(frozen=True, slots=True)
class StillDone:
    """A still image came to its end; of its further pictures, `left_out` were not decoded.

    None of them is known to be there when that is 0; None means that nobody knows how many.
    """

    item: int
    status: Status
    reason: str
    rotation: int
    left_out: int | None = 0


@dataclass(frozen=True, slots=True)
class Drain:
    """Pictures grow: decoding goes on once every frame has been released."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The child has finished, or was ended. Facts are None where it could not tell."""

    status: Status
    reason: str
    facts: dict[str, Any] = field(default_factory=dict)


Event = Opened | SegmentStart | Frame | StaticFrame | StillDone | Drain | Ended


class FrameReader:
    """Decodes one request in a child process. Use as a context manager; iterate `events()`.

    `slots` frames may be held at once at most; hand each back with `release`.
    """

    def __init__(self, request: DecodeRequest, *, slots: int, silence_s: float = SILENCE_S) -> None:
        self._request = request
        self._wanted_slots = slots
        self._silence_s = silence_s
        self._memory_fd = _memory_file()
        self._memory: mmap.mmap | None = None
        self._slot_bytes = 0
        self.slots = slots
        self._lent: dict[int, int] = {}
        self._time_base = Fraction(1)
        self._last_index = self._last_segment = -1
        self._buffer = bytearray()
        self._child = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-P", "-m", "forensics.footage.child", str(self._memory_fd)]
        child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=[self._memory_fd],
            start_new_session=True,  # Ctrl-C is ours to handle
        )
        self._child = child
        self._send(self._request.to_line())
        return child

    def __enter__(self) -> FrameReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def events(self) -> Iterator[Event]:
        """Yield what the child reports, in order; the last event is always `Ended`."""
        while True:
            event = self._next_event()
            if event is not None:
                yield event
            if isinstance(event, Ended):
                return

    def _next_event(self) -> Event | None:
        try:
            line = self._line()
            if line is None:
                return Ended(Status.CRASHED, f"the decoder died ({self._cause_of_death()})")
            return self._event(protocol.decode(line))
        except TimeoutError:
            reason = f"no sign of life for {self._silence_s:.0f} s while decoding"
            return Ended(Status.TIMEOUT, reason)
        except (ValueError, KeyError, TypeError) as error:
            text = protocol.text(str(error))
            return Ended(Status.CRASHED, f"the decoder sent nonsense ({text})")
        except OSError as error:
            return Ended(Status.CRASHED, f"no memory for its pictures ({error.strerror})")

    def release(self, frame: Frame) -> None:
        """Hand a frame's memory back to the child; its `views` and `rgb` are void from here."""
        slot = self._lent.pop(frame.index, None)
        if slot is not None and self._memory_fd >= 0:
            self._send(protocol.encode({"type": "free", "slot": slot}))

    @property
    def closed(self) -> bool:
        return self._memory_fd < 0

    def close(self) -> None:
        """End the child and give its memory back. Safe to call twice."""
        if self._child.poll() is None:
            self._child.kill()
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue  # unsent bytes to a dead child
        if self._memory_fd >= 0:
            os.close(self._memory_fd)
            self._memory_fd = -1

    def _send(self, line: bytes) -> None:
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(line)
            self._child.stdin.flush()
        except BrokenPipeError:
            return  # it died; `events` will say so

    def _line(self) -> bytes | None:
        """The next line; None at the end of the pipe. Raises TimeoutError on long silence."""
        assert self._child.stdout is not None
        pipe = self._child.stdout.fileno()
        deadline = time.monotonic() + self._silence_s
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > protocol.MAX_LINE_BYTES:
                raise ValueError("an endless line")
            ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError
            chunk = os.read(pipe, 1 << 16)
            if not chunk:
                return None
            self._buffer += chunk
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    def _event(self, message: dict[str, Any]) -> Event | None:
        match message["type"]:
            case "frame":
                return self._frame(message)
            case "static":
                return self._static(message)
            case "segment":
                return self._segment(message)
            case "opened":
                info = protocol.info_from_message(message["info"])
                self._time_base = info.time_base
                return Opened(self._item(message["item"]), info)
            case "still":
                status, reason = Status(message["status"]), protocol.text(message["reason"])
                rotation = protocol.integer(message["rotation"], 0, 359)
                left_out = protocol.optional(protocol.count, message.get("left_out", 0))
                return StillDone(self._item(message["item"]), status, reason, rotation, left_out)
            case "ended":
                status, reason = Status(message["status"]), protocol.text(message["reason"])
                return Ended(status, reason, protocol.facts_from_message(message))
            case "grow":
                self._grow(protocol.count(message["slot_bytes"]))
                return None
            case "drain":
                return Drain()
            case "alive":
                return None
        raise ValueError(f"message {message['type'][:40]!r}")

    def _item(self, value: Any) -> int:
        return protocol.integer(value, 0, len(self._request.paths) - 1)

    def _segment(self, message: dict[str, Any]) -> SegmentStart:
        self._last_segment = protocol.integer(
            message["number"], self._last_segment + 1, self._last_segment + 1
        )
        index = protocol.integer(message["index"], self._last_index + 1)
        return SegmentStart(
            self._last_segment, index, protocol.optional(protocol.integer, message["pts"])
        )

    def _grow(self, slot_bytes: int) -> None:
        largest = self._request.views_bytes + self._request.max_pixels * 3
        if not 0 < slot_bytes <= largest or self._lent:
            raise ValueError(f"slot of {slot_bytes} bytes")
        fitting = max(MIN_SLOTS, RING_BYTES // slot_bytes)
        self.slots = min(self._wanted_slots, fitting)
        self._slot_bytes = slot_bytes
        os.ftruncate(self._memory_fd, self.slots * slot_bytes)
        self._memory = mmap.mmap(self._memory_fd, self.slots * slot_bytes)
        self._send(protocol.encode({"type": "slots", "slots": self.slots}))

    def _layout(self, values: Any) -> PixelLayout:
        name, *numbers = values
        sizes = (protocol.integer(number, 0, protocol.MAX_SIDE) for number in numbers)
        layout = PixelLayout(str(name), *sizes)
        even = layout.width % 2 == layout.height % 2 == 0
        if min(layout.width, layout.height) < 1:
            raise ValueError("picture without area")
        if layout.format != "rgb24" and not (layout.format in PLANAR and even):
            raise ValueError("picture of an unknown format")
        return layout

    def _frame(self, message: dict[str, Any]) -> Frame:
        slot = protocol.integer(message["slot"], 0, self.slots - 1)
        index = protocol.integer(message["index"], self._last_index + 1)
        pts = protocol.optional(protocol.integer, message["pts"])
        layout = self._layout(message["layout"])
        imgsz, n_views = self._request.imgsz, self._request.n_views
        views_bytes = self._request.views_bytes
        full_bytes = layout.size_bytes if self._request.full else 0
        if self._memory is None or views_bytes + full_bytes > self._slot_bytes:
            raise ValueError("frame outside the shared memory")
        if slot in self._lent.values():
            raise ValueError("slot lent twice")
        start = slot * self._slot_bytes
        memory = memoryview(self._memory)[start : start + views_bytes + full_bytes]
        views = np.frombuffer(memory, np.uint8)[:views_bytes]
        self._lent[index] = slot
        self._last_index = index
        full = np.frombuffer(memory, np.uint8)[views_bytes:]
        return Frame(
            index=index,
            pts=pts,
            time_s=self._seconds(pts),
            keyframe=protocol.boolean(message["keyframe"]),
            suspect=protocol.boolean(message["suspect"]),
            width=layout.width,
            height=layout.height,
            views=views.reshape(n_views, imgsz, imgsz, 3),
            **(_full_picture(layout, full) if full_bytes else {"rgb": _not_sent}),
        )

    def _static(self, message: dict[str, Any]) -> StaticFrame:
        index = protocol.integer(message["index"], self._last_index + 1)
        pts = protocol.optional(protocol.integer, message["pts"])
        self._last_index = index
        return StaticFrame(index, pts, self._seconds(pts), protocol.boolean(message["keyframe"]))

    def _seconds(self, pts: int | None) -> float | None:
        return None if pts is None else float(pts * self._time_base)

    def _cause_of_death(self) -> str:
        code = self._child.wait()
        if code >= 0:
            return f"exit code {code}"
        try:
            return signal.Signals(-code).name
        except ValueError:
            return f"signal {-code}"


def _full_picture(layout: PixelLayout, full: ImageArray) -> dict[str, Any]:
    """The ways to look at a picture at full size, fields of `Frame`."""
    return {
        "rgb": partial(unpack_rgb, layout, full),
        "region": partial(unpack_region, layout, full),
        "grey": partial(unpack_grey, layout, full),
        "packed": Packed(layout.format, layout.matrix, layout.range, full),
    }


def _not_sent() -> ImageArray:
    raise ValueError("the frame came without its full picture; ask for it in the DecodeRequest")


def _memory_file() -> int:
    """A nameless memory file: gone when the last process closes it, even after SIGKILL."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("forensics-frames")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
