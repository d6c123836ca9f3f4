"""The decoding child: parses hostile bytes, under limits, and hands frames over in shared memory.

Started as `python -P -m forensics.footage.child FD`; requests come on standard input, answers go
to standard output, pictures into the memory file FD.
"""

from __future__ import annotations

import mmap
import os
import resource
import sys
import time
from collections.abc import Iterator
from typing import Any

from forensics.footage import protocol
from forensics.footage.decode import Decoded, Decoder, RefusedError, UnreadableError
from forensics.footage.pixels import Packer, PixelLayout, quarter_turns
from forensics.footage.protocol import DecodeRequest, Sampling
from forensics.footage.static import StaticGate

ADDRESS_SPACE_BYTES = 8 << 30
HARD_SEGMENT_FACTOR = 4  # without keyframes a segment is cut anyway at this many lengths
HEARTBEAT_S = 2.0


class Parent:
    """The pipe to the parent and the ring of slots that it lends."""

    def __init__(self, memory_fd: int) -> None:
        self._fd = memory_fd
        # Whatever a library prints must not end up between our messages.
        self._in, self._out = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)
        self._memory: mmap.mmap | None = None
        self._slot_bytes = 0
        self._free: list[int] = []
        self._n_slots = 0

    def say(self, kind: str, **values: Any) -> None:
        self._out.write(protocol.encode({"type": kind, **values}))
        self._out.flush()

    def hear(self) -> dict[str, Any]:
        line = self._in.readline(protocol.MAX_LINE_BYTES * 64)
        if not line:
            raise SystemExit(0)  # the parent is gone or has lost interest
        return protocol.decode(line)

    def slot(self, size_bytes: int) -> tuple[int, memoryview]:
        """Wait for a free slot of at least `size_bytes`; the ring grows when pictures do."""
        if size_bytes > self._slot_bytes:
            self._grow(size_bytes)
        while not self._free:
            self._free.append(int(self.hear()["slot"]))
        number = self._free.pop()
        assert self._memory is not None
        start = number * self._slot_bytes
        return number, memoryview(self._memory)[start : start + self._slot_bytes]

    def _grow(self, size_bytes: int) -> None:
        if len(self._free) < self._n_slots:
            self.say("drain")
        while len(self._free) < self._n_slots:  # the parent still looks at the old pictures
            self._free.append(int(self.hear()["slot"]))
        self.say("grow", slot_bytes=size_bytes)
        answer = self.hear()
        self._n_slots, self._slot_bytes = int(answer["slots"]), size_bytes
        self._memory = mmap.mmap(self._fd, self._n_slots * size_bytes)
        self._free = list(range(self._n_slots))[::-1]


class Segments:
    """Cuts a file into segments of about `length_s` at keyframes, by time.

    A pure function of the frame sequence, so that an interrupted scan cuts at the same places.
    """

    def __init__(self, length_s: float, time_base_s: float, frame_rate: float | None) -> None:
        self._length_s = length_s
        self._base_s = time_base_s
        self._frame_s = 1.0 / (frame_rate or 25.0)
        self._start_index = 0
        self._start_pts: int | None = None
        self.number = -1

    def begins(self, frame: Decoded) -> bool:
        """True when `frame` is the first of a new segment."""
        if self.number >= 0 and not self._is_cut(frame):
            return False
        self.number += 1
        self._start_index, self._start_pts = frame.index, frame.pts
        return True

    def _is_cut(self, frame: Decoded) -> bool:
        by_count_s = (frame.index - self._start_index) * self._frame_s
        elapsed_s = by_count_s
        if frame.pts is not None and self._start_pts is not None:
            elapsed_s = (frame.pts - self._start_pts) * self._base_s
            if elapsed_s < 0:  # the clock jumped back: count frames instead
                elapsed_s = by_count_s
        hard = elapsed_s >= HARD_SEGMENT_FACTOR * self._length_s
        return hard or (frame.keyframe and elapsed_s >= self._length_s)


class Sampler:
    """Decides which frames are processed."""

    def __init__(self, sampling: Sampling, time_base_s: float) -> None:
        self._sampling = sampling
        self._base_s = time_base_s
        self._origin_pts: int | None = None
        self._last_slot = -1
        self.untimed = 0  # frames that have no time, where one each step was asked for

    def takes(self, frame: Decoded) -> bool:
        if self._sampling.keyframes_only:
            return frame.keyframe
        step_s = self._sampling.time_step_s
        self.untimed += step_s is not None and frame.pts is None
        if step_s is None or frame.pts is None:
            return frame.index % self._sampling.frame_step == 0
        if self._origin_pts is None or frame.pts < self._origin_pts:
            self._origin_pts, self._last_slot = frame.pts, -1
        # The small allowance keeps a frame that lies a rounding error before its due time.
        slot = int((frame.pts - self._origin_pts) * self._base_s / step_s + 1e-6)
        if slot == self._last_slot:
            return False
        self._last_slot = slot
        return True


def _packer(request: DecodeRequest) -> Packer:
    return Packer(request.imgsz, request.tiling, views=request.views, full=request.full)


def send_frame(parent: Parent, packer: Packer, frame: Decoded) -> PixelLayout:
    """Put a frame's pictures into a slot and tell the parent."""
    layout = packer.layout(frame.picture)
    number, slot = parent.slot(packer.views_bytes + packer.full_bytes(layout))
    packer.pack(frame.picture, layout, slot)
    parent.say(
        "frame",
        slot=number,
        index=frame.index,
        pts=frame.pts,
        keyframe=frame.keyframe,
        suspect=frame.suspect,
        layout=[layout.format, layout.width, layout.height, layout.matrix, layout.range],
    )
    return layout


def decode_video(parent: Parent, request: DecodeRequest) -> None:
    """Decode one video: opened, then segments and frames, then ended."""
    try:
        decoder = Decoder(request.paths[0], request.max_pixels)
    except UnreadableError as error:
        parent.say("ended", status="unreadable", reason=str(error))
        return
    except RefusedError as error:
        parent.say("ended", status="refused", reason=str(error))
        return
    parent.say("opened", item=0, info=protocol.info_to_message(decoder.info))
    refused = ""
    clock = ClockFacts()
    sampler = Sampler(request.sampling, float(decoder.info.time_base))
    try:
        _send_segments(parent, request, decoder, clock, sampler)
    except RefusedError as error:
        refused = str(error)
    verdict = _verdict(decoder, clock, refused)
    if sampler.untimed:
        said = f"{sampler.untimed} of its frames have no time: all of them are processed, not one"
        said = f"{said} each {request.sampling.time_step_s:g} s"
        verdict["reason"] = "; ".join(filter(None, (verdict["reason"], said)))
    parent.say("ended", **verdict)
    decoder.close()


def _send_segments(
    parent: Parent, request: DecodeRequest, decoder: Decoder, clock: ClockFacts, sampler: Sampler
) -> None:
    base_s = float(decoder.info.time_base)
    segments = Segments(request.segment_s, base_s, decoder.info.frame_rate_header)
    gate = StaticGate(request.sampling.static, base_s)
    packer = _packer(request)
    wanted = None if request.wanted is None else set(request.wanted)
    for frame in _with_heartbeat(parent, decoder.frames()):
        clock.add(frame.pts, frame.picture)
        if segments.begins(frame):
            parent.say("segment", number=segments.number, index=frame.index, pts=frame.pts)
            gate.reset()  # what a segment's log says must not depend on the one before
        taken = sampler.takes(frame)
        if wanted is not None:
            taken = frame.index in wanted
        if taken and segments.number >= request.first_segment:
            if gate.passes_over(frame):
                parent.say("static", index=frame.index, pts=frame.pts, keyframe=frame.keyframe)
            else:
                send_frame(parent, packer, frame)
        if wanted is not None and frame.index >= max(wanted, default=-1):
            break


def _with_heartbeat(parent: Parent, frames: Iterator[Decoded]) -> Iterator[Decoded]:
    """Pass frames on; a sign of life while long stretches are skipped or yield nothing."""
    last = time.monotonic()
    for frame in frames:
        now = time.monotonic()
        if now - last > HEARTBEAT_S:
            parent.say("alive")
            last = now
        if frame.picture is not None:
            yield frame


class ClockFacts:
    """Facts about the frame times of a file."""

    def __init__(self) -> None:
        self.last_pts: int | None = None
        self.rotation = 0
        self.sizes: list[tuple[int, int]] = []
        self._shortest: int | None = None
        self._longest = 0

    def add(self, pts: int | None, picture: Any) -> None:
        self.rotation = 90 * quarter_turns(picture)
        if not self.sizes or self.sizes[-1] != (picture.width, picture.height):
            self.sizes.append((picture.width, picture.height))
        if pts is None:
            return
        if self.last_pts is not None and pts > self.last_pts:
            step = pts - self.last_pts
            self._shortest = min(self._shortest or step, step)
            self._longest = max(self._longest, step)
        self.last_pts = pts

    @property
    def vfr(self) -> bool | None:
        """Frame distances differ by more than rounding of the time base explains."""
        if self._shortest is None:
            return None
        return self._longest - self._shortest > max(2, 0.05 * self._shortest)


def _verdict(decoder: Decoder, clock: ClockFacts, refused: str) -> dict[str, Any]:
    lost, missing = decoder.losses() if decoder.finished else (0, 0)
    faults = [refused] if refused else []
    if decoder.damage.count:
        said = "; ".join(decoder.damage.messages)
        faults.append(f"{decoder.damage.count} signs of damage: {said}")
    if lost:
        faults.append(f"about {lost} frames lost within the file")
    if missing:
        faults.append(f"about {missing} frames missing at its end")
    if decoder.follows:
        faults.append(decoder.follows)
    if not decoder.frames_decoded:
        faults.append("no frame could be decoded")
    if decoder.other_streams:
        faults.append(f"{decoder.other_streams} more video streams in it were not scanned")
    for where in decoder.late_streams[:5]:
        faults.append(f"another stream begins {where} and was not scanned")
    status = "partial" if faults else "ok"
    if not decoder.frames_decoded:
        status = "refused" if refused else "unreadable"
    return {
        "status": status,
        "reason": "; ".join([*faults, *_remarks(decoder, clock)]),
        "frames_decoded": decoder.frames_decoded,
        "frames_suspect": decoder.frames_suspect,
        "frames_lost": lost,
        "frames_missing": None if refused else missing,
        "other_streams": min(decoder.other_streams + len(decoder.late_streams), 1000),
        "interlaced": decoder.interlaced,
        "vfr": clock.vfr,
        "rotation": clock.rotation,
        "last_pts": clock.last_pts,
    }


def _remarks(decoder: Decoder, clock: ClockFacts) -> list[str]:
    """What is no fault, and still worth knowing."""
    remarks = []
    if decoder.times_from_decode_order:
        remarks.append("its presentation times go back; decode times are used instead")
    if len(clock.sizes) > 1:
        sizes = ", ".join(f"{width} x {height}" for width, height in clock.sizes[:5])
        remarks.append(f"its picture size changes ({sizes})")
    return remarks


def decode_stills(parent: Parent, request: DecodeRequest) -> None:
    """Decode the first picture of each file; each gets a verdict of its own."""
    packer = _packer(request)
    for item, path in enumerate(request.paths):
        if request.wanted is not None and item not in request.wanted:
            continue
        verdict: dict[str, Any] = {"rotation": 0}
        try:
            verdict |= _decode_still(parent, packer, item, Decoder(path, request.max_pixels))
        except UnreadableError as error:
            verdict |= {"status": "unreadable", "reason": str(error)}
        except RefusedError as error:
            verdict |= {"status": "refused", "reason": str(error)}
        parent.say("still", item=item, **verdict)
    parent.say("ended", status="ok", reason="")


def _decode_still(parent: Parent, packer: Packer, item: int, decoder: Decoder) -> dict[str, Any]:
    parent.say("opened", item=item, info=protocol.info_to_message(decoder.info))
    left_out, more = decoder.further_pictures()
    frame = next((f for f in decoder.frames() if f.picture is not None), None)
    if frame is None:
        raise UnreadableError("no picture could be decoded" + (f" ({more})" if more else ""))
    suspect = decoder.damage.count > 0
    send_frame(parent, packer, Decoded(item, None, True, suspect, frame.picture))
    decoder.close()
    return {
        "status": "partial" if suspect or more else "ok",
        "reason": "; ".join([*decoder.damage.messages, *([more] if more else [])]),
        "rotation": 90 * quarter_turns(frame.picture),
        "left_out": left_out,
    }


def limit_resources() -> None:
    """Bound memory; leave no core dump of somebody's footage."""
    for what, bound in ((resource.RLIMIT_AS, ADDRESS_SPACE_BYTES), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(what)
        value = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        resource.setrlimit(what, (value, hard))


def main() -> None:
    """Serve one request, then leave."""
    limit_resources()
    parent = Parent(int(sys.argv[1]))
    request = DecodeRequest.from_message(parent.hear())
    try:
        (decode_stills if request.stills else decode_video)(parent, request)
    except BrokenPipeError:
        raise SystemExit(0) from None  # the parent has lost interest
    except MemoryError:
        parent.say("ended", status="refused", reason="decoding it needs more memory than allowed")
    except Exception as error:  # whatever it is, the parent must hear of it and go on
        parent.say("ended", status="crashed", reason=f"decoder failed: {error!r}")


if __name__ == "__main__":
    main()
