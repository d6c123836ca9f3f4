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

from forensics.footage.layout import CUT, MPEGTS, late_video, transport_layout, what_follows
from forensics.footage.pictures import further_pictures, is_still
from forensics.types import STILL_SUFFIXES, StreamInfo

# Containers that hold one file's own pictures. Playlists (concat, hls, dash, sdp, ...) are left
# out: a text file must never make us open another file or the network.
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,mxf,ogg,h264,hevc,"
    "mjpeg,dv,yuv4mpegpipe,ivf,nut,wtv,rm,av1,obu,vc1,m4v,dhav,image2,jpeg_pipe,png_pipe,bmp_pipe,"
    "tiff_pipe,webp_pipe,gif,apng"
)
# Containers that say when each frame is shown, so that a gap there is variable frame rate.
TIMED_FORMATS = frozenset({"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "asf", "flv"})
EARLY_END_S = 0.5
MAX_PROMISED = 1 << 40  # a damaged header may promise anything
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
        self._path = path
        self.damage = Damage()
        self.packets = 0
        self.frames_decoded = 0
        self.frames_suspect = 0
        self.interlaced = False
        self._max_pixels = max_pixels
        self._log = av.logging.Capture()
        self._lines = self._log.__enter__()
        self._container, self._stream = self._open(path)
        self.info = self._describe()
        self.finished = False
        self._failed_packets = 0
        self._gap_frames = 0
        self._tainted = False
        self._damaged_pts: set[int | None] = set()
        self._clock = _Clock()
        self._last_pts: int | None = None
        self._last_duration = 0
        self._shortest_step = 0

    def _open(self, path: str) -> tuple[Any, Any]:
        options = {"protocol_whitelist": "file", "format_whitelist": FORMATS}
        options |= {"pattern_type": "none"}  # image2 must not read "%03d" as a sequence
        try:
            container = av.open(_address(path), options=_accepted(path, options))
        except (av.error.FFmpegError, OSError) as error:
            raise UnreadableError(self._reason(error)) from error
        pictures = [s for s in container.streams.video if not _is_cover(s)]
        if not pictures:
            held = ", ".join(sorted({str(s.type) for s in container.streams})) or "nothing"
            raise UnreadableError(f"no video stream (the file holds: {held})")
        self.other_streams = len(pictures) - 1
        self.follows = ""  # what lies behind the recording
        self.late_streams: list[str] = []  # where each one begins
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
        if "not on whitelist" in text:
            text = "its format is not one that is scanned (playlists, for example, are not)"
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
            frames_header=stream.frames if stream.frames > 0 else None,
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
        for _ in self._check_end():
            yield Decoded(self.frames_decoded, None, False, self._tainted, None)
        self.finished = True

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
            except IndexError:  # a packet of a stream that was not there when the file was opened
                self._begins_late(f"at about frame {self.frames_decoded}")
            except av.error.FFmpegError as error:
                errors += 1
                self._mark(f"reading: {error.strerror}", None)
        self._mark(f"gave up after {MAX_SILENT_ERRORS} read errors in a row", None)
        rest = av.Packet()  # an empty packet gets the frames out that the decoder still holds
        rest.stream = self._stream
        yield rest

    def _decode(self, packet: Any) -> tuple[list[Any], bool]:
        self.packets += packet.size > 0
        before = self.damage.count
        try:
            pictures = packet.decode()
        except av.error.FFmpegError as error:
            pictures = []
            if not isinstance(error, av.error.EOFError):
                self._mark(f"decoding: {error.strerror}", packet.pts)
                self._failed_packets += 1
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
            self._mark(f"time goes back at frame {self.frames_decoded}", None)
        elif self.info.container not in TIMED_FORMATS:
            missing = (pts - last) / self._usual_step(pts - last) - 1
            if missing > 1.5:
                self._gap_frames += round(missing)
                self._mark(f"about {missing:.0f} frames missing at {self.frames_decoded}", None)

    def _usual_step(self, step: int) -> float:
        """Time from frame to frame; where only a guessed rate tells, not below any step seen."""
        self._shortest_step = min(self._shortest_step or step, step)
        if self._last_duration:
            return self._last_duration
        rate = self.info.frame_rate_header
        return max(self._shortest_step, 1 / (rate * self.info.time_base) if rate else 0)

    @property
    def times_from_decode_order(self) -> bool:
        """True when presentation times went back and decode times were used instead."""
        return self._clock.faulty_pts > self._clock.faulty_dts

    def losses(self) -> tuple[int, int | None]:
        """Frames lost within what was read, and frames missing after it; None = not known."""
        inside, missing = self._losses()
        return inside, None if self.follows else missing

    def _losses(self) -> tuple[int, int | None]:
        promised, inside = self._promised_frames(), self._failed_packets
        if not self.damage.count and promised is None:
            return 0, 0
        if promised is None:
            # The end is not known; damage there may have cut anything off.
            return max(inside, self._gap_frames), None if self._tainted else 0
        held = self.packets if self.info.frames_header else self.frames_decoded + inside
        short = max(0, promised - max(held, self.frames_decoded))
        return (inside + short, 0) if self._reaches_end() else (inside, short)

    def _promised_frames(self) -> int | None:
        """Frames that the header promises, or leads to expect in a file that is damaged."""
        info = self.info
        if info.frames_header:
            return info.frames_header
        if not self.damage.count or info.container not in TIMED_FORMATS:
            return None
        if info.duration_s is None or info.frame_rate_header is None:
            return None
        return min(round(info.duration_s * info.frame_rate_header), MAX_PROMISED)

    def _reaches_end(self) -> bool:
        return self._seconds_short() <= EARLY_END_S

    def _seconds_short(self) -> float:
        """By how much the last frame ends before the end that the header promises."""
        info, duration_s = self.info, self.info.duration_s
        if info.frames_header and info.frame_rate_header:  # some durations are guessed from size
            duration_s = info.frames_header / info.frame_rate_header
        if duration_s is None or self._last_pts is None:
            return 0.0
        last_s = (self._last_pts + self._last_duration) * float(info.time_base)
        return (info.start_time_s or 0.0) + duration_s - last_s

    def further_pictures(self) -> tuple[int | None, str]:
        """Of a file of pictures: how many follow its first one, None = not known; and in words."""
        is_picture = self.info.container == "image2" or self.info.container.endswith("_pipe")
        return further_pictures(self._path) if is_picture else (0, "")

    def _begins_late(self, where: str) -> None:
        if self.info.container != MPEGTS:  # of those it is known from the packets, see `_check_end`
            self.late_streams.append(where)

    def _check_end(self) -> Iterator[None]:
        """Look for what no decoder notices: a cut, and streams that begin late."""
        timed = self.info.container in TIMED_FORMATS and not self.info.frames_header
        if timed and len(self._container.streams) == 1 and not self._reaches_end():
            self._mark(f"ends {self._seconds_short():.1f} s before its header says", None)
        found = yield from what_follows(self._path, self.info.container)
        if found.startswith(CUT):
            self._mark(found, None)
        else:
            self.follows = found
        if self.frames_decoded == 1:
            self.follows = self.follows or self.further_pictures()[1]
        if self.info.container != MPEGTS:
            return
        layout = transport_layout(self._path)
        if layout is not None and int(self._container.size) % layout[0] != 0:
            self._mark(f"{CUT} a transport packet", None)
        late = yield from late_video(self._path, [s.id for s in self._container.streams])
        self.late_streams += [f"at byte {at}" for at in sorted(late.values())]

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


def _address(path: str) -> Any:
    """What to open: a "file:" address, so that a name such as 12:30:00.mp4 is no protocol.

    A video named like a picture is opened without its name, by which FFmpeg would go.
    """
    if Path(path).suffix.lower() in STILL_SUFFIXES and not is_still(Path(path)):
        return _Nameless(path)
    return "file:" + os.path.abspath(path)


class _Nameless:
    """An open file that does not tell its name."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "rb")  # noqa: SIM115 - closed with the container
        self.read, self.seek, self.tell = self._file.read, self._file.seek, self._file.tell
        self.close = self._file.close


def _is_cover(stream: Any) -> bool:
    return bool(stream.disposition & type(stream.disposition).attached_pic)


def _accepted(path: str, options: dict[str, str]) -> dict[str, str]:
    """Options by kind of file: only FFmpeg's image reader knows `pattern_type`."""
    image = Path(path).suffix.lower() in STILL_SUFFIXES
    return options if image else {k: v for k, v in options.items() if k != "pattern_type"}
