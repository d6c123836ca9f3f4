"""Write a detector's training pictures: as they are, in grids, and with objects pasted in."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from forensics.errors import FootageError, TrainingError
from forensics.training import compose
from forensics.training.compose import CutOut, Labelled
from forensics.training.neighbours import difference_hash
from forensics.training.pictures import (
    jpeg_bytes,
    near_duplicate_groups,
    read_picture,
    sampled_frames,
)
from forensics.training.sources import (
    DataConfig,
    Problems,
    Sample,
    class_counts,
    read_samples,
    source_footage,
)
from forensics.types import ImageArray

MANIFEST = "manifest.json"
FEWEST = 20
LONGEST_SIDE = 1280
PASTED_PER_SCENE = (1, 5)
DECOY_SHARE = 0.45
Tell = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Prepared:
    """What was written: pictures by split and kind, boxes by split and class, samples left out."""

    folder: Path
    pictures: dict[str, int]
    boxes: dict[str, int]
    left_out: int
    config_sha256: str

    def lines(self) -> list[str]:
        """What a person wants to know of it, a line each."""
        listed = [f"{self.folder}: training pictures"]
        listed += [f"  {kind}: {n} pictures" for kind, n in self.pictures.items()]
        listed += [f"  {name}: {n} boxes" for name, n in self.boxes.items()]
        if self.left_out:
            listed.append(f"  {self.left_out} left out or noted: see problems.csv there")
        return listed


@dataclass(frozen=True, slots=True)
class _Split:
    train: list[Sample]
    val: list[Sample]


def prepare_detector_data(config: DataConfig, out: Path, tell: Tell) -> Prepared:
    """Write YOLO training data to `out`: images/, labels/, data.yaml, problems.csv, manifest.json.

    The same config and sources give the same bytes. Near-duplicates are all in one split. `tell`
    is called with (done, total). Raises TrainingError when too little is left to train on.
    """
    problems = Problems()
    split = _split(list(read_samples(config, problems)), config, problems)
    _check_enough(split, config, problems)
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    total = len(split.train) + len(split.val) + sum(_grids(config).values()) + _pastes(config)
    writer = _Writer(partial, config.classes, lambda done: tell(min(done, total), total))
    for sample in split.val:
        writer.add("val", "whole", _load(sample))
    _write_train(writer, config, split.train, list(_footage(config, problems)))
    prepared = writer.finish(out, config, problems)
    shutil.rmtree(out, ignore_errors=True)
    partial.replace(out)
    return prepared


def _grids(config: DataConfig) -> dict[int, int]:
    """Cells per side -> how many such grids."""
    return {int(k): int(count) for k, count in config.compose.get("grids", {}).items()}


def _pastes(config: DataConfig) -> int:
    return int(config.compose.get("pastes", 0))


def _split(samples: Sequence[Sample], config: DataConfig, problems: Problems) -> _Split:
    """Leave unreadable pictures out; draw the rest by groups of near-duplicates."""
    readable, hashes = [], []
    for sample in samples:
        try:
            hashes.append(difference_hash(read_picture(sample.path)))
            readable.append(sample)
        except TrainingError as error:
            problems.add(f"{sample.source.name}/{sample.path.name}", f"{error}; left out")
    if not readable:
        return _Split([], [])
    groups = near_duplicate_groups(np.array(hashes))
    names = {int(group): readable[group].path.name for group in np.unique(groups)}
    split = _Split([], [])
    for sample, group in zip(readable, groups.tolist(), strict=True):
        drawn = _draw(f"{config.seed}:{names[group]}") < config.val_share
        (split.val if drawn else split.train).append(sample)
    return split


def _draw(text: str) -> float:
    """A number in [0, 1) that depends on `text` alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64


def _check_enough(split: _Split, config: DataConfig, problems: Problems) -> None:
    counts = class_counts(split.train, config.classes)
    few = [f"{name} ({n})" for name, n in counts.items() if n < FEWEST]
    if few or not split.val:
        shown = "; ".join(f"{item.where}: {item.what}" for item in problems.items[:3])
        what = f"too few usable boxes of {', '.join(few)}" if few else "no pictures to validate on"
        raise TrainingError(
            f"{what}; at least {FEWEST} of each class are needed"
            + (f" ({len(problems.items)} samples were left out: {shown} ...)" if shown else "")
        )


def _load(sample: Sample) -> Labelled:
    rgb = read_picture(sample.path)
    scale = np.tile(np.array(rgb.shape[1::-1], np.float64), 2)
    return Labelled(rgb, sample.xyxy * scale, sample.class_id)


def _footage(config: DataConfig, problems: Problems) -> Iterator[ImageArray]:
    """Frames of gun-free footage, the longer side at most LONGEST_SIDE pixels."""
    for source in config.sources:
        for path in source_footage(source):
            try:
                for _, rgb in sampled_frames(path, source.every_s):
                    yield _smaller(rgb)
            except FootageError as error:
                problems.add(f"{source.name}/{path.name}", f"{error}; left out")


def _smaller(rgb: ImageArray) -> ImageArray:
    scale = LONGEST_SIDE / max(rgb.shape)
    if scale >= 1:
        return rgb
    new = (round(rgb.shape[1] * scale), round(rgb.shape[0] * scale))
    return np.asarray(cv2.resize(rgb, new, interpolation=cv2.INTER_AREA), np.uint8)


def _write_train(
    writer: _Writer,
    config: DataConfig,
    samples: Sequence[Sample],
    frames: Sequence[ImageArray],
) -> None:
    rng = np.random.default_rng(config.seed)
    for sample in samples:
        if _draw(f"{config.seed}:whole:{sample.path.name}") < sample.source.whole:
            writer.add("train", "whole", _look(sample, rng))
    for rgb in frames:
        writer.add("train", "footage", _empty(rgb))
    for k, count in sorted(_grids(config).items()):
        for _ in range(count):
            drawn = rng.integers(0, len(samples), k**2)
            cells = [_look(samples[place], rng) for place in drawn]
            writer.add("train", f"grid {k}x{k}", compose.grid(cells, rng))
    if frames:
        _write_pastes(writer, _pastes(config), samples, frames, rng)


def _look(sample: Sample, rng: np.random.Generator) -> Labelled:
    return compose.vary_look(_load(sample), rng, stretched=sample.source.stretched)


def _empty(rgb: ImageArray) -> Labelled:
    return Labelled(rgb, np.empty((0, 4)), np.empty(0, np.int64))


def _write_pastes(
    writer: _Writer,
    count: int,
    samples: Sequence[Sample],
    frames: Sequence[ImageArray],
    rng: np.random.Generator,
) -> None:
    targets = [sample for sample in samples if len(sample.xyxy)]
    decoys = [sample for sample in samples if len(sample.decoy_xyxy)]
    for _ in range(count):
        scene = compose.fit(
            _empty(frames[int(rng.integers(len(frames)))]), compose.SIDE, compose.SIDE
        )
        objects = []
        for _ in range(int(rng.integers(*PASTED_PER_SCENE))):
            decoy = bool(decoys) and rng.random() < DECOY_SHARE
            pool = decoys if decoy else targets
            objects.append(_object(pool[int(rng.integers(len(pool)))], rng, decoy=decoy))
        picture = compose.paste(scene, [item for item in objects if item is not None], rng)
        writer.add("train", "paste", compose.drop_specks(picture))


def _object(sample: Sample, rng: np.random.Generator, *, decoy: bool) -> CutOut | None:
    rgb = read_picture(sample.path)
    boxes = sample.decoy_xyxy if decoy else sample.xyxy
    place = int(rng.integers(len(boxes)))
    xyxy = boxes[place] * np.tile(np.array(rgb.shape[1::-1], np.float64), 2)
    return compose.cut_out(rgb, xyxy, -1 if decoy else int(sample.class_id[place]))


class _Writer:
    """Writes numbered pictures with their YOLO labels, and counts them."""

    def __init__(self, folder: Path, classes: Sequence[str], tell: Callable[[int], None]) -> None:
        self._folder = folder
        self._tell = tell
        self._classes = tuple(classes)
        self._pictures: Counter[str] = Counter()
        self._boxes: Counter[str] = Counter()
        self._number = 0
        for split in ("train", "val"):
            (folder / "images" / split).mkdir(parents=True)
            (folder / "labels" / split).mkdir(parents=True)

    def add(self, split: str, kind: str, picture: Labelled) -> None:
        self._number += 1
        self._tell(self._number)
        self._pictures[f"{split} {kind}"] += 1
        name = f"{self._number:06d}-{kind.replace(' ', '-')}"
        height, width = picture.rgb.shape[:2]
        image = self._folder / "images" / split / f"{name}.jpg"
        image.write_bytes(jpeg_bytes(picture.rgb))
        unit = picture.xyxy / np.array([width, height, width, height])
        lines = []
        for (x0, y0, x1, y1), class_id in zip(
            np.clip(unit, 0, 1).tolist(), picture.class_id.tolist(), strict=True
        ):
            self._boxes[f"{split} {self._classes[class_id]}"] += 1
            lines.append(
                f"{class_id} {(x0 + x1) / 2:.6f} {(y0 + y1) / 2:.6f} {x1 - x0:.6f} {y1 - y0:.6f}\n"
            )
        (self._folder / "labels" / split / f"{name}.txt").write_text("".join(lines))

    def finish(self, out: Path, config: DataConfig, problems: Problems) -> Prepared:
        """Write what describes the data; its paths are those of its final place `out`."""
        names = "".join(f"  {n}: {json.dumps(name)}\n" for n, name in enumerate(self._classes))
        where = json.dumps(str(out.absolute()))
        (self._folder / "data.yaml").write_text(
            f"path: {where}\ntrain: images/train\nval: images/val\nnames:\n{names}"
        )
        with (self._folder / "problems.csv").open("w", newline="", encoding="utf-8") as stream:
            rows = csv.writer(stream)
            rows.writerow(["where", "what"])
            rows.writerows((item.where, item.what) for item in problems.items)
        prepared = Prepared(
            out, dict(self._pictures), dict(self._boxes), len(problems.items), config.sha256
        )
        counted = {key: value for key, value in asdict(prepared).items() if key != "folder"}
        (self._folder / MANIFEST).write_text(json.dumps(counted, indent=1) + "\n")
        return prepared


def prepared_before(folder: Path) -> Prepared | None:
    """What `prepare_detector_data` wrote to `folder` earlier; None where it wrote nothing."""
    try:
        table = json.loads((folder / MANIFEST).read_bytes())
        return Prepared(folder, **table)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise TrainingError(f"{folder / MANIFEST} is broken ({error}); remove {folder}") from error
