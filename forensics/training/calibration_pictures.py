"""Pictures to calibrate INT8 with: frames as the detector sees them, crops as the classifier."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from forensics.backends import Model, open_engine, resolve_backend
from forensics.cascade.crops import cut_crops
from forensics.cascade.definition import ClassifierSpec, DetectorSpec
from forensics.cascade.detector import Detector
from forensics.errors import TrainingError
from forensics.footage.find import find_inputs
from forensics.footage.protocol import DecodeRequest, Sampling
from forensics.footage.reader import DEFAULT_MAX_PIXELS, FrameReader
from forensics.tiling import WHOLE
from forensics.types import Frame, ImageArray, InputFile

STEP_S = 0.5
CROPS_PER_FRAME = 8
CROP_FLOOR = 0.01  # look-alikes that score low are crops the classifier must judge as well


def views(paths: Sequence[Path], imgsz: int, limit: int) -> ImageArray:
    """Letterboxed frames, uint8 (n, imgsz, imgsz, 3), at most `limit`, evenly over the files."""
    found = [frame.views[0].copy() for frame in _frames(paths, imgsz, limit)]
    if not found:
        raise TrainingError("no frame of the calibration footage could be decoded; give other")
    return np.stack(found)


def crops(
    paths: Sequence[Path], detector: Model, spec: DetectorSpec, second: ClassifierSpec, limit: int
) -> ImageArray:
    """What the detector finds in the same frames, cut as a scan does: uint8 (n, s, s, 3)."""
    name, _ = resolve_backend("auto")
    network = Detector(open_engine(name, detector, spec.normalisation), spec, CROP_FLOOR)
    cut: list[ImageArray] = []
    count = 0
    for frame in _frames(paths, spec.imgsz, limit):
        seen = WHOLE.views(frame.width, frame.height, spec.imgsz)
        found = network.boxes(network.look(frame.views, seen), [seen])[0]
        cut.append(cut_crops(frame.rgb(), found.xyxy[:CROPS_PER_FRAME], second))
        count += len(cut[-1])
    if not count:
        raise TrainingError(
            "the detector finds nothing in the calibration footage, so there is no crop to "
            "calibrate the classifier with; give footage that shows targets"
        )
    return np.concatenate(cut)


def _frames(paths: Sequence[Path], imgsz: int, limit: int) -> Iterator[Frame]:
    """Frames half a second apart, equally many of each file as far as they last."""
    inputs = [file for file in find_inputs(paths, recursive=True) if not file.refused]
    if len(inputs) > limit:
        chosen = np.linspace(0, len(inputs) - 1, limit).round().astype(int)
        inputs = [inputs[n] for n in chosen]
    stills = [file for file in inputs if file.is_still]
    if stills:
        yield from _decode(stills, imgsz, len(stills), stills=True)
    for number, file in enumerate(videos := [f for f in inputs if not f.is_still]):
        share = _share(limit - len(stills), len(videos), number)
        yield from _decode([file], imgsz, share, stills=False)


def _share(total: int, parts: int, number: int) -> int:
    return total // parts + (1 if number < total % parts else 0)


def _decode(files: Sequence[InputFile], imgsz: int, most: int, *, stills: bool) -> Iterator[Frame]:
    request = DecodeRequest(
        paths=tuple(str(file.path) for file in files),
        stills=stills,
        imgsz=imgsz,
        max_pixels=DEFAULT_MAX_PIXELS,
        segment_s=3600.0,
        sampling=Sampling(1, None if stills else STEP_S),
    )
    sent = 0
    with FrameReader(request, slots=4) as reader:
        release: Callable[[Frame], None] = reader.release
        for event in reader.events():
            if isinstance(event, Frame):
                if sent < most and not event.suspect:
                    sent += 1
                    yield event
                release(event)
                if sent >= most:
                    return
