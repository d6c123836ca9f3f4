"""Decode one file packet by packet, going on after damage. Runs inside the child process only.

Every signal of damage that FFmpeg gives (exception, error-level log line, corrupt flag, time going
back) taints the frames from there to the next keyframe that is itself undamaged. One decoding
thread, because damaged video decodes differently from run to run with more.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import av.logging

from forensics.types import STILL_SUFFIXES, StreamInfo

# Containers that hold one file's own pictures. Playlists (concat, hls, dash, sdp, ...) are left
# out: a text file must never make us open another file or the network.
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,mxf,ogg,h264,hevc,"
    "mjpeg,dv,yuv4mpegpipe,ivf,nut,wtv,rm,av1,obu,vc1,m4v,dhav,image2,jpeg_pipe,png_pipe,bmp_pipe,"
    "tiff_pipe,webp_pipe,gif"
)
# Containers that say when each frame is shown, so that a gap there is variable frame rate.
TIMED_FORMATS = frozenset({"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "asf", "flv"})
MAX_SILENT_ERRORS = 500
HEARTBEAT_PACKETS = 200


class UnreadableError(Exception):
    """The file cannot be opened or holds no picture; the text says why."""


class RefusedError(Exception):
    """The file is beyond the limits; the text says which."""


@dataclass
class Damage:
    """Signals of damage in one file: how many, and the first few in words."""

    count: int = 0
    messages: list[str] = field(default_factory=list)

    def note(self, message: str) -> None:
        self.count += 1
        text = " ".join(message.split())
        if len(self.messages) < 5 and text not in self.messages:
            self.messages.append(text)


@dataclass(frozen=True)
class Decoded:
    """One frame in presentation order; `picture` is None for a heartbeat without a frame."""

    index: int
    pts: int | None
    keyframe: bool
    suspect: bool
    picture: Any


class Decoder:
    """An open file. `frames()` yields `Decoded`; counters are valid at any time."""

    def __init__(self, path: str, max_pixels: int) -> None:
        av.logging.set_level(av.logging.ERROR)
        self.damage = Damage()
        self.packets = 0
        self.frames_decoded = 0
        self.frames_suspect = 0
        self.interlaced = False
        self.time_reversals = 0
        self._max_pixels = max_pixels
        self._log = av.logging.Capture()
        self._lines = self._log.__enter__()
        self._container, self._stream = self._open(path)
        self.info = self._describe()
        self._tainted = False
        self._damaged_pts: set[int | None] = set()
        self._clock = _Clock()
        self._last_pts: int | None = None
        self._last_duration = 0

    def _open(self, path: str) -> tuple[Any, Any]:
        options = {"protocol_whitelist": "file", "format_whitelist": FORMATS}
        options |= {"pattern_type": "none"}  # image2 must not read "%03d" as a sequence
        try:
            # An absolute "file:" address, so that a name such as 12:30:00.mp4 is no protocol.
            container = av.open("file:" + os.path.abspath(path), options=_accepted(path, options))
        except av.error.FFmpegError as error:
            raise UnreadableError(self._reason(error)) from error
        pictures = [s for s in container.streams.video if not _is_cover(s)]
        if not pictures:
            held = ", ".join(sorted({str(s.type) for s in container.streams})) or "nothing"
            raise UnreadableError(f"no video stream (the file holds: {held})")
        stream = pictures[0]
        context = stream.codec_context
        if context is None:
            raise UnreadableError("no decoder for its video codec")
        if context.width * context.height > self._max_pixels:
            raise RefusedError(
                f"picture of {context.width} x {context.height} is over the limit of "
                f"{self._max_pixels} pixels"
            )
        context.options = {"max_pixels": str(self._max_pixels)}
        context.thread_count = 1
        return container, stream

    def _reason(self, error: Exception) -> str:
        said = [line for _, _, line in self._lines]
        text = " ".join((said[-1] if said else str(getattr(error, "strerror", error))).split())
        return f"cannot be opened as video: {text}"

    def _describe(self) -> StreamInfo:
        stream, context = self._stream, self._stream.codec_context
        base = Fraction(stream.time_base or 1)
        duration_s = stream.duration * base if stream.duration else None
        if duration_s is None and self._container.duration:
            duration_s = Fraction(self._container.duration, av.time_base)
        rate = stream.average_rate or stream.guessed_rate
        return StreamInfo(
            container=self._container.format.name,
            codec=context.codec.canonical_name,
            width=context.width,
            height=context.height,
            pixel_format=str(context.pix_fmt),
            rotation=0,
            time_base=base,
            frame_rate_header=float(rate) if rate else None,
            frames_header=stream.frames or None,
            duration_s=float(duration_s) if duration_s is not None else None,
            start_time_s=None if stream.start_time is None else float(stream.start_time * base),
        )

    def frames(self) -> Iterator[Decoded]:
        """Yield frames in presentation order; every 200 packets without one, a heartbeat."""
        silent = 0
        for packet in self._demux():
            pictures, damaged = self._decode(packet)
            for picture in pictures:
                silent = 0
                yield self._frame(picture, damaged)
            silent += 1
            if silent % HEARTBEAT_PACKETS == 0:
                yield Decoded(self.frames_decoded, None, False, self._tainted, None)

    def _demux(self) -> Iterator[Any]:
        errors = 0
        while errors < MAX_SILENT_ERRORS:
            try:
                for packet in self._container.demux(self._stream):
                    errors = 0
                    yield packet
                return
            except av.error.EOFError:
                return
            except av.error.FFmpegError as error:
                errors += 1
                self._mark(f"reading: {error.strerror}", None)
        self.damage.note(f"gave up after {MAX_SILENT_ERRORS} read errors in a row")

    def _decode(self, packet: Any) -> tuple[list[Any], bool]:
        self.packets += packet.size > 0
        before = self.damage.count
        try:
            pictures = packet.decode()
        except av.error.FFmpegError as error:
            pictures = []
            if not isinstance(error, av.error.EOFError):
                self._mark(f"decoding: {error.strerror}", packet.pts)
        if packet.is_corrupt:
            self._mark("packet marked corrupt", packet.pts)
        for _, source, line in self._lines:
            self._mark(f"{source}: {line}", packet.pts)
        self._lines.clear()
        return pictures, self.damage.count > before

    def _mark(self, message: str, pts: int | None) -> None:
        self.damage.note(message)
        self._tainted = True
        self._damaged_pts.add(pts)

    def _frame(self, picture: Any, damaged: bool) -> Decoded:
        pts = self._clock.best_pts(picture.pts, picture.dts)
        if picture.width * picture.height > self._max_pixels:
            raise RefusedError(
                f"picture grows to {picture.width} x {picture.height}, over the limit of "
                f"{self._max_pixels} pixels"
            )
        if picture.is_corrupt:
            self._mark("frame marked corrupt", pts)
        self._check_time(pts)
        if picture.key_frame and not damaged and pts not in self._damaged_pts:
            self._tainted = False
            self._damaged_pts.clear()
        self.interlaced |= bool(picture.interlaced_frame)
        self._last_pts, self._last_duration = pts, picture.duration or 0
        index = self.frames_decoded
        self.frames_decoded += 1
        self.frames_suspect += self._tainted
        return Decoded(index, pts, bool(picture.key_frame), self._tainted, picture)

    def _check_time(self, pts: int | None) -> None:
        last = self._last_pts
        if pts is None or last is None:
            return
        if pts <= last:
            self.time_reversals += 1
            self._mark(f"time goes back at frame {self.frames_decoded}", None)
        elif self.info.container not in TIMED_FORMATS and self._last_duration:
            missing = (pts - last) / self._last_duration - 1
            if missing > 1.5:
                self._mark(f"about {missing:.0f} frames missing at {self.frames_decoded}", None)

    @property
    def times_from_decode_order(self) -> bool:
        """True when presentation times went back and decode times were used instead."""
        return self._clock.faulty_pts > self._clock.faulty_dts

    def missing_frames(self) -> int:
        """Frames that the header promises and the file no longer holds."""
        return max(0, (self.info.frames_header or 0) - max(self.packets, self.frames_decoded))

    def close(self) -> None:
        self._container.close()
        self._log.__exit__(None, None, None)


class _Clock:
    """FFmpeg's own rule for files whose muxer wrote presentation times that go back.

    Presentation times are used unless they went back more often than decode times have. For a
    sound file the result is exactly the container's presentation time. Source: FFmpeg's
    `guess_correct_pts`.
    """

    def __init__(self) -> None:
        self.faulty_pts = 0
        self.faulty_dts = 0
        self._last_pts: int | None = None
        self._last_dts: int | None = None

    def best_pts(self, pts: int | None, dts: int | None) -> int | None:
        if dts is not None:
            self.faulty_dts += self._last_dts is not None and dts <= self._last_dts
        if pts is not None:
            self.faulty_pts += self._last_pts is not None and pts <= self._last_pts
        self._last_dts = pts if dts is None else dts
        self._last_pts = dts if pts is None else pts
        sound = self.faulty_pts <= self.faulty_dts or dts is None
        return pts if sound and pts is not None else dts


def _is_cover(stream: Any) -> bool:
    return bool(stream.disposition & type(stream.disposition).attached_pic)


def _accepted(path: str, options: dict[str, str]) -> dict[str, str]:
    """Options by kind of file: only FFmpeg's image reader knows `pattern_type`."""
    image = Path(path).suffix.lower() in STILL_SUFFIXES
    return options if image else {k: v for k, v in options.items() if k != "pattern_type"}
