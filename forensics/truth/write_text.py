"""Write truth as YOLO labels, MOT text, or spans."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from forensics.errors import TruthError
from forensics.truth.base import MediaTruth, Truth
from forensics.truth.mot import CLASS_NAMES
from forensics.truth.write_json import NO_SIZES
from forensics.truth.writing import (
    Losses,
    Sizes,
    class_list,
    in_fractions,
    in_pixels,
    is_still,
    label_path,
    labels_by_frame,
    lost_flag,
    lost_spans,
    lost_suffixes,
    size_of,
    write_files,
    write_new,
)
from forensics.truth.yolo_names import CLASS_FILES

_UNQUOTABLE = frozenset("\"\\#'")


def write_yolo(truth: Truth, target: Path, *, sizes: Sizes = NO_SIZES) -> Losses:
    """Write `labels/*.txt` and `data.yaml` into a new folder; a negative is an empty file.

    A still `a.jpg` gets `a.txt`; frame 12 of `clip.mp4` gets `clip_000012.txt`, counted from 0, for
    a picture of that name. Lost: spans, `planted`, what video a frame belongs to, extensions and
    the folder before `images`. YOLO knows neither ignored frames nor ignore regions: such a frame
    gets no file, so that it stays out. `sizes` are needed where boxes are pixels.
    """
    names = class_list(truth)
    for name in names:
        if not name.isprintable() or _UNQUOTABLE & set(name):
            raise TruthError(f"class {name!r} cannot stand in data.yaml; rename it")
    listed = "".join(f'  {number}: "{name}"\n' for number, name in enumerate(names))
    losses = lost_spans(truth, "YOLO")
    files = [(target / "data.yaml", f"names:\n{listed}")] if names else []
    for media in truth.media:
        files += _yolo_files(media, target / "labels", names, sizes, losses)
    write_files(files, target)
    return tuple(losses)


def _yolo_files(
    media: MediaTruth, folder: Path, names: tuple[str, ...], sizes: Sizes, losses: list[str]
) -> Iterator[tuple[Path, str]]:
    boxes, xyxy = media.boxes, in_fractions(media, sizes)
    ignored = set(media.frames[media.ignored].tolist())
    ignored |= set(boxes.frame_index[boxes.ignore].tolist())
    if ignored:
        what = "frames with something to ignore get no label file"
        losses.append(f"{media.name}: {len(ignored)} {what}")
    losses += lost_flag(media, "planted", "YOLO")
    still = is_still(media)
    for index, held in labels_by_frame(media).items():
        if index in ignored:
            continue
        lines = []
        for box in held:
            x_min, y_min, x_max, y_max = xyxy[box].tolist()
            values = (x_min + x_max) / 2, (y_min + y_max) / 2, x_max - x_min, y_max - y_min
            lines.append(" ".join(map(repr, (names.index(boxes.label[box]), *values))))
        path = label_path(folder, _below_images(media), ".txt", None if still else index)
        if path.name in CLASS_FILES or "labels" in path.relative_to(folder).parts[:-1]:
            raise TruthError(
                f"{media.name}: its labels would lie in {path.relative_to(folder.parent)}, which "
                "readers of YOLO take for something else; rename the file in the truth"
            )
        yield path, "".join(f"{line}\n" for line in lines)


def _below_images(media: MediaTruth) -> MediaTruth:
    """The medium named from its folder `images` on, as YOLO keeps labels beside that."""
    parts = PurePosixPath(media.name).parts
    if "images" not in parts[:-1]:
        return media
    start = len(parts) - parts[::-1].index("images")
    return MediaTruth(
        name="/".join(parts[start:]),
        source=media.source,
        frames=media.frames,
        ignored=media.ignored,
        boxes=media.boxes,
        spans=media.spans,
        suffix_known=media.suffix_known,
    )


def write_mot(truth: Truth, target: Path, *, sizes: Sizes = NO_SIZES) -> Losses:
    """Write `clip.mot.txt` and `clip.seqinfo.ini` per medium into a new folder.

    Frames count from 1 and run without gap to the sequence's length: truth that leaves frames out,
    or ignores whole frames, is refused. Every box has an id of its own: MOT wants tracks, and this
    truth has none. Classes are MOT's 13, or one of any name. Lost: spans, `planted`, and the
    folders of a name that lacks its extension.
    """
    losses = lost_spans(truth, "MOT")
    files = []
    for media in truth.media:
        if not len(media.frames):
            continue
        if not np.array_equal(media.frames, np.arange(len(media.frames))):
            raise TruthError(
                f"{media.name}: frames are left out, and MOT counts all as looked at; write coco"
            )
        if media.ignored.any():
            raise TruthError(f"{media.name}: MOT cannot ignore whole frames; write coco")
        losses += lost_flag(media, "planted", "MOT")
        if not media.suffix_known and "/" in media.name:
            losses.append(
                f"{media.name}: its folders are left out; without extension MOT names it "
                "by its last part alone"
            )
        rows, single = _mot_rows(media, sizes)
        files.append((label_path(target, media, ".mot.txt"), rows))
        info = _seqinfo(media, single, sizes)
        files.append((label_path(target, media, ".seqinfo.ini"), info))
    write_files(files, target)
    return tuple(losses)


def _mot_rows(media: MediaTruth, sizes: Sizes) -> tuple[str, str]:
    """The rows, and the class that stands in the sequence's description instead, if one does."""
    used = sorted(set(media.boxes.label))
    known = all(name in CLASS_NAMES for name in used)
    if not known and len(used) > 1:
        raise TruthError(
            f"{media.name}: MOT has 13 classes of its own, or one other; this has "
            f"{', '.join(used)[:200]}; write coco"
        )
    rows = []
    xyxy = in_pixels(media, sizes).tolist()
    for number, (x_min, y_min, x_max, y_max) in enumerate(xyxy):
        flag = int(not media.boxes.ignore[number])
        label = media.boxes.label[number]
        rest = (CLASS_NAMES.index(label) + 1, 1) if known else (-1, -1, -1)
        place = (x_min, y_min, x_max - x_min, y_max - y_min)
        values = (int(media.boxes.frame_index[number]) + 1, number + 1, *place, flag, *rest)
        rows.append(",".join(map(repr, values)) + "\n")
    return "".join(rows), "" if known else used[0]


def _seqinfo(media: MediaTruth, single: str, sizes: Sizes) -> str:
    facts: dict[str, object] = {"name": label_path(Path(), media, "").name}
    if media.suffix_known:
        facts["file"] = media.name
    facts["seqLength"] = len(media.frames)
    size = size_of(media, sizes)
    if size is not None:
        facts |= {"imWidth": int(size[0]), "imHeight": int(size[1])}
    if single:
        facts["className"] = single
    for value in facts.values():
        if not str(value).isprintable():
            raise TruthError(f"{media.name!r}: {value!r} cannot be written; rename it")
    return "[Sequence]\n" + "".join(f"{name}={value}\n" for name, value in facts.items())


def write_spans(truth: Truth, target: Path) -> Losses:
    """Write one CSV of spans in seconds on the container's clock.

    Lost: frames with their boxes, and that a name lacks its extension.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("file", "start_s", "end_s", "class", "planted"))
    losses = lost_suffixes(truth, "a list of spans")
    for media in truth.media:
        if len(media.frames):
            losses.append(
                f"{media.name}: {len(media.frames)} frames with {len(media.boxes)} boxes are left "
                "out; spans have none"
            )
        for span in media.spans:
            end = "" if math.isinf(span.end_s) else repr(span.end_s)
            row = (media.name, repr(span.start_s), end, span.label, str(span.planted).lower())
            writer.writerow(row)
    write_new((target, text.getvalue()))
    return tuple(losses)
