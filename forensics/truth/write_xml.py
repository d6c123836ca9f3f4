"""Write truth as Pascal VOC or CVAT XML."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree  # noqa: S405 - writes only
from xml.etree.ElementTree import Element, SubElement  # noqa: S405 - writes only

import numpy as np

from forensics.errors import TruthError
from forensics.truth.base import MediaTruth, Truth
from forensics.truth.write_json import NO_SIZES
from forensics.truth.writing import (
    Losses,
    Sizes,
    class_list,
    in_pixels,
    is_still,
    label_path,
    labels_by_frame,
    lost_spans,
    lost_suffixes,
    size_of,
    write_files,
)

_CORNERS = ("xtl", "ytl", "xbr", "ybr")
_IGNORED = "ignored frame"


def write_voc(truth: Truth, target: Path, *, sizes: Sizes = NO_SIZES) -> Losses:
    """Write one file per picture into a new folder; a negative is a file without objects.

    Corners count from 1, both inside, as decimal numbers; `ignore` becomes `difficult`. Frame 12
    of `clip.mp4`, counted from 0, is named `clip.mp4#12`, in `clip_000012.xml`. Ignored frames and
    `planted` go into elements of our own. Lost: spans, and that a name lacks its extension.
    """
    files = [file for media in truth.media for file in _voc_files(media, target, sizes)]
    write_files(files, target)
    return (*lost_spans(truth, "Pascal VOC"), *lost_suffixes(truth, "Pascal VOC"))


def _voc_files(media: MediaTruth, target: Path, sizes: Sizes) -> Iterator[tuple[Path, str]]:
    size, xyxy = size_of(media, sizes), in_pixels(media, sizes).tolist()
    still = is_still(media)
    # With a folder in front, so that the name is not taken as relative to the label file.
    name = media.name if "/" in media.name else f"./{media.name}"
    ignored = set(media.frames[media.ignored].tolist())
    for index, held in labels_by_frame(media).items():
        root = Element("annotation")
        _say(root, "filename", name if still else f"{name}#{index}")
        if size is not None:
            element = SubElement(root, "size")
            for key, value in zip(("width", "height", "depth"), (*size, 3), strict=True):
                _say(element, key, str(int(value)))
        if index in ignored:
            _say(root, "ignore", "1")
        for box in held:
            element = SubElement(root, "object")
            _say(element, "name", media.boxes.label[box])
            _say(element, "difficult", str(int(media.boxes.ignore[box])))
            if media.boxes.planted[box]:
                _say(element, "planted", "1")
            x_min, y_min, x_max, y_max = xyxy[box]
            corners = {"xmin": x_min + 1, "ymin": y_min + 1, "xmax": x_max, "ymax": y_max}
            bounds = SubElement(element, "bndbox")
            for key, value in corners.items():
                _say(bounds, key, repr(value))
        yield label_path(target, media, ".xml", None if still else index), _document(root)


def write_cvat(truth: Truth, target: Path, *, sizes: Sizes = NO_SIZES) -> Losses:
    """Write one `CVAT for video 1.1` file per medium into a new folder.

    Frames count from 0 in the source; those looked at must follow each other at one step, or the
    truth is refused. Every box is a track of one frame, ended by a box with outside="1" in the next
    one, unless that is behind the task: CVAT refuses frames that are not its own. Ignored frames,
    `ignore` and `planted` are attributes. Lost: spans, and that a name lacks its extension.
    """
    labels = class_list(truth)
    files = [
        (label_path(target, media, ".xml"), _document(_cvat_root(media, labels, sizes)))
        for media in truth.media
        if len(media.frames)
    ]
    write_files(files, target)
    return (*lost_spans(truth, "CVAT"), *lost_suffixes(truth, "CVAT"))


def _cvat_root(media: MediaTruth, labels: tuple[str, ...], sizes: Sizes) -> Element:
    frames = media.frames
    step = int(frames[1] - frames[0]) if len(frames) > 1 else 1
    if np.any(np.diff(frames) != step):
        raise TruthError(
            f"{media.name}: its labelled frames do not follow at one step, which CVAT needs; "
            "write coco"
        )
    root = Element("annotations")
    _say(root, "version", "1.1")
    task = SubElement(SubElement(root, "meta"), "task")
    _say(task, "size", str(len(frames)))
    _say(task, "mode", "interpolation")
    _say(task, "start_frame", str(frames[0]))
    _say(task, "stop_frame", str(frames[-1]))
    _say(task, "frame_filter", f"step={step}")
    held = SubElement(task, "labels")
    for name in (*labels, *([_IGNORED] if media.ignored.any() else [])):
        _cvat_label(held, name)
    size = size_of(media, sizes)
    if size is not None:
        element = SubElement(task, "original_size")
        _say(element, "width", str(int(size[0])))
        _say(element, "height", str(int(size[1])))
    _say(task, "source", media.name)
    boxes = media.boxes
    held_for = {frame: range(frame, frames[-1] + 1, step)[:2] for frame in frames.tolist()}
    for number, xyxy in enumerate(in_pixels(media, sizes).tolist()):
        said = {"ignore": boxes.ignore[number], "planted": boxes.planted[number]}
        attributes = {name: "true" for name, value in said.items() if value}
        held_in = held_for[int(boxes.frame_index[number])]
        _cvat_track(root, boxes.label[number], held_in, xyxy, attributes)
    for frame in frames[media.ignored].tolist():
        whole = [0.0, 0.0, *(size or (1.0, 1.0))]
        _cvat_track(root, _IGNORED, held_for[frame], whole, {"ignore": "frame"})
    return root


def _cvat_label(held: Element, name: str) -> None:
    """Declare a label with our attributes, or CVAT refuses them."""
    label = SubElement(held, "label")
    _say(label, "name", name)
    attributes = SubElement(label, "attributes")
    for key in ("ignore", "planted"):
        attribute = SubElement(attributes, "attribute")
        _say(attribute, "name", key)
        _say(attribute, "mutable", "False")
        _say(attribute, "input_type", "text")
        _say(attribute, "default_value", "false")
        _say(attribute, "values", "")


def _cvat_track(
    root: Element,
    label: str,
    frames: Sequence[int],
    xyxy: list[float],
    attributes: dict[str, str],
) -> None:
    """A track that is there in the first of `frames` and outside in the second, if there is one."""
    track = SubElement(root, "track", id=str(len(root) - 2), label=_printable(label))
    corners = {name: repr(value) for name, value in zip(_CORNERS, xyxy, strict=True)}
    for frame, outside in zip(frames, "01", strict=False):
        facts = {"frame": str(frame), "outside": outside, "occluded": "0", "keyframe": "1"}
        box = SubElement(track, "box", facts | corners)
        for name, value in attributes.items():
            _say(box, "attribute", value).set("name", name)


def _say(parent: Element, name: str, text: str) -> Element:
    element = SubElement(parent, name)
    element.text = _printable(text)
    return element


def _printable(text: str) -> str:
    if not text.isprintable():
        raise TruthError(f"{text!r} cannot be written as XML; rename it in the truth")
    return text


def _document(root: Element) -> str:
    ElementTree.indent(root, " ")
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'
