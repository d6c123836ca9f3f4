"""Read and check `cascade.toml`: which networks, which classes, which thresholds."""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forensics.backends import Model, Normalisation
from forensics.errors import CascadeError
from forensics.types import OperatingPoint

ZOO = Path(__file__).resolve().parent.parent / "zoo"
FILE_NAME = "cascade.toml"
SCHEMA = 1
LARGE = 1e6


@dataclass(frozen=True, slots=True)
class ModelRef:
    """A model file that a cascade names, with the hash that it must have."""

    path: Path
    sha256: str

    def load(self, precision: str, imgsz: int) -> Model:
        """Read the file. Raises CascadeError when its hash is another."""
        model = Model.read(self.path, precision=precision, imgsz=imgsz)
        if model.sha256 != self.sha256:
            raise CascadeError(
                f"{self.path.name} has SHA-256 {model.sha256[:16]}..., but {FILE_NAME} wants "
                f"{self.sha256[:16]}...; restore the file, or correct {FILE_NAME} if you trust it"
            )
        return model


def model_file(files: Mapping[str, ModelRef], precision: str) -> ModelRef:
    """The file of a precision; FP16 without a file of its own is made from FP32.

    Only engines of `MAKES_FP16` can do so; `ScanSettings` sees to that.
    """
    if precision == "fp16" and precision not in files:
        return files["fp32"]
    return files[precision]


@dataclass(frozen=True, slots=True)
class DetectorSpec:
    """The first network. Scores below `floor` are not kept; `candidates` are classes to keep."""

    files: dict[str, ModelRef]
    imgsz: int
    classes: tuple[str, ...]
    candidates: tuple[str, ...]
    floor: float
    nms_iou: float
    max_detections: int
    normalisation: Normalisation


@dataclass(frozen=True, slots=True)
class ClassifierSpec:
    """The second network: a square crop of `padding` x the longer side, at least `min_side` px.

    Its logits are divided by `temperature` before the softmax (Guo et al. 2017): 1 changes nothing.
    """

    files: dict[str, ModelRef]
    imgsz: int
    classes: tuple[str, ...]
    targets: tuple[str, ...]
    padding: float
    min_side: int
    grey: bool
    normalisation: Normalisation
    temperature: float = 1.0


@dataclass(frozen=True, slots=True)
class EventRule:
    """How alarm frames become alerts: merged over gaps to `gap_s`, confirmed by k of n frames."""

    gap_s: float
    confirm_hits: int
    confirm_frames: int


@dataclass(frozen=True, slots=True)
class CascadeDefinition:
    """Everything in a cascade folder, checked.

    `arithmetic`: in what the networks may compute unasked, because decisions were compared;
    `precisions`: which kinds of model files may be run unasked, for the same reason.
    """

    folder: Path
    name: str
    version: str
    licence: str
    description: str
    detector: DetectorSpec
    classifier: ClassifierSpec | None
    operating_point: OperatingPoint
    chosen_how: str
    events: EventRule
    arithmetic: tuple[str, ...]
    sha256: str
    precisions: tuple[str, ...] = ("fp32",)

    @property
    def target_classes(self) -> tuple[str, ...]:
        """Names under which truth may speak of the target."""
        if self.classifier is None:
            return self.detector.candidates
        return tuple(dict.fromkeys((*self.classifier.targets, *self.detector.candidates)))


def load_cascade(name_or_folder: str | Path) -> CascadeDefinition:
    """Load a bundled cascade by name, or any by its folder. Raises CascadeError.

    A bundled name means the bundled cascade, whatever folder of that name lies in the working
    directory; a `Path` is always a folder.
    """
    folder = Path(name_or_folder)
    if name_or_folder in bundled_cascades():
        folder = ZOO / name_or_folder
    elif not folder.is_dir():
        raise CascadeError(
            f"no cascade {str(name_or_folder)!r}: give a folder with a {FILE_NAME}, with a / in "
            f"it (./FOLDER), or one of the bundled: {_bundled()}"
        )
    path = folder / FILE_NAME
    try:
        raw = path.read_bytes()
        table = tomllib.loads(raw.decode())
    except OSError as error:
        raise CascadeError(f"cannot read {path}: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CascadeError(f"{path} is not valid TOML: {error}") from error
    return _Table(table, path.name, folder).cascade(hashlib.sha256(raw).hexdigest())


def check_given(name_or_folder: str) -> None:
    """Raise CascadeError on a folder that reads like a name: it might be taken for a bundled one.

    A later version may bring a cascade of that name, which the same command would then run.
    """
    bare = os.sep not in name_or_folder and name_or_folder not in {os.curdir, os.pardir}
    if bare and name_or_folder not in bundled_cascades() and Path(name_or_folder).is_dir():
        raise CascadeError(
            f"{name_or_folder!r} is no bundled cascade ({_bundled()}) but a folder: write "
            f"./{name_or_folder}"
        )


def _bundled() -> str:
    return ", ".join(bundled_cascades()) or "none"


def bundled_cascades() -> tuple[str, ...]:
    """Names of the cascades that come with the package."""
    return tuple(sorted(p.parent.name for p in ZOO.glob(f"*/{FILE_NAME}")))


def bundled_models() -> dict[str, Path]:
    """SHA-256 -> path of every model file that comes with the package."""
    found: dict[str, Path] = {}
    for name in bundled_cascades():
        cascade = load_cascade(name)
        for stage in (cascade.detector, cascade.classifier):
            found |= {} if stage is None else {m.sha256: m.path for m in stage.files.values()}
    return found


class _Table:
    """A TOML table whose every look-up names the key when it is missing or of another kind."""

    def __init__(self, values: dict[str, Any], where: str, folder: Path) -> None:
        self._values = values
        self._where = where
        self._folder = folder

    def cascade(self, sha256: str) -> CascadeDefinition:
        if self.number("schema") != SCHEMA:
            raise self.error("schema", f"is not {SCHEMA}: made for another version")
        detector = self.table("detector")._detector()
        second = self.table("classifier") if "classifier" in self._values else None
        classifier = None if second is None else second._classifier()
        point, events = self.table("operating_point"), self.table("events")
        threshold = None if second is None else point.fraction("classifier")
        return CascadeDefinition(
            folder=self._folder,
            name=self.text("name"),
            version=self.text("version"),
            licence=self.text("licence"),
            description=self.text("description"),
            detector=detector,
            classifier=classifier,
            operating_point=OperatingPoint(point.fraction("detector"), threshold),
            chosen_how=point.text("chosen"),
            events=EventRule(
                events.positive("gap_s"), events.size("confirm_hits"), events.size("confirm_frames")
            ),
            arithmetic=self._arithmetic(),
            sha256=sha256,
            precisions=self._precisions([detector, *([classifier] if classifier else [])]),
        )

    def _arithmetic(self) -> tuple[str, ...]:
        names = self.names("arithmetic")
        if "fp32" not in names:
            raise self.error("arithmetic", "leaves out fp32, the reference")
        return names

    def _precisions(self, stages: list[DetectorSpec | ClassifierSpec]) -> tuple[str, ...]:
        if "precisions" not in self._values:
            return ("fp32",)
        names = self.names("precisions")
        if "fp32" not in names:
            raise self.error("precisions", "leaves out fp32, the reference")
        for name in names:
            if name != "fp16" and not all(name in stage.files for stage in stages):
                raise self.error("precisions", f"names {name}, for which a model file is missing")
        return names

    def _detector(self) -> DetectorSpec:
        classes, candidates = self.names("classes"), self.names("candidates")
        if strangers := set(candidates) - set(classes):
            raise self.error("candidates", f"names {sorted(strangers)}, not among classes")
        return DetectorSpec(
            files=self._files(),
            imgsz=self.size("imgsz"),
            classes=classes,
            candidates=candidates,
            floor=self.fraction("floor"),
            nms_iou=self.fraction("nms_iou"),
            max_detections=self.size("max_detections"),
            normalisation=self._normalisation(),
        )

    def _classifier(self) -> ClassifierSpec:
        classes, targets = self.names("classes"), self.names("targets")
        if strangers := set(targets) - set(classes):
            raise self.error("targets", f"names {sorted(strangers)}, not among classes")
        colour = self.text("colour")
        if colour not in {"rgb", "grey"}:
            raise self.error("colour", 'is neither "rgb" nor "grey"')
        return ClassifierSpec(
            files=self._files(),
            imgsz=self.size("imgsz"),
            classes=classes,
            targets=targets,
            padding=self.positive("padding"),
            min_side=self.size("min_side"),
            grey=colour == "grey",
            normalisation=self._normalisation(),
            temperature=self.positive("temperature") if "temperature" in self._values else 1.0,
        )

    def _files(self) -> dict[str, ModelRef]:
        files = {}
        for precision in self.table("files")._values:
            entry = self.table("files").table(precision)
            name = entry.text("file")
            if Path(name).name != name or name in {"", ".."} or "\0" in name:
                raise entry.error("file", "leaves the cascade's folder")
            files[precision] = ModelRef(self._folder / name, entry.text("sha256"))
        if "fp32" not in files:
            raise self.error("files", "has no fp32 reference")
        return files

    def _normalisation(self) -> Normalisation:
        mean, std = (self._triple(key) for key in ("mean", "std"))
        if min(std) <= 0:
            raise self.error("std", "is not positive")
        return Normalisation(mean, std)

    def _triple(self, key: str) -> tuple[float, float, float]:
        values = self._get(key, list)
        if len(values) != 3 or not all(type(v) in {int, float} and abs(v) < LARGE for v in values):
            raise self.error(key, "is not three numbers")
        return float(values[0]), float(values[1]), float(values[2])

    def _get(self, key: str, kind: type | tuple[type, ...]) -> Any:
        if key not in self._values:
            raise self.error(key, "is missing")
        value = self._values[key]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self.error(key, f"has the wrong type ({type(value).__name__})")
        return value

    def text(self, key: str) -> str:
        return str(self._get(key, str))

    def number(self, key: str) -> float:
        value = self._get(key, (int, float))
        if not abs(value) < LARGE:  # neither nan nor inf
            raise self.error(key, "is out of range")
        return float(value)

    def positive(self, key: str) -> float:
        value = self.number(key)
        if value <= 0:
            raise self.error(key, "is not above 0")
        return value

    def size(self, key: str) -> int:
        value = int(self._get(key, int))
        if not 1 <= value <= 65536:
            raise self.error(key, "is out of range")
        return value

    def fraction(self, key: str) -> float:
        value = self.number(key)
        if not 0 <= value <= 1:
            raise self.error(key, "is not between 0 and 1")
        return value

    def names(self, key: str) -> tuple[str, ...]:
        values = self._get(key, list)
        if not all(isinstance(value, str) for value in values):
            raise self.error(key, "is not a list of names")
        if not values or len(set(values)) != len(values):
            raise self.error(key, "is empty or repeats a name")
        return tuple(values)

    def table(self, key: str) -> _Table:
        return _Table(self._get(key, dict), f"{self._where} [{key}]", self._folder)

    def error(self, key: str, what: str) -> CascadeError:
        return CascadeError(f"{self._where}: {key} {what}")


def summary_hash(definition: CascadeDefinition, precision: str) -> str:
    """SHA-256 over what determines scores: definition and the model files used."""
    used = [definition.sha256, model_file(definition.detector.files, precision).sha256]
    if definition.classifier is not None and precision in {*definition.classifier.files, "fp16"}:
        used.append(model_file(definition.classifier.files, precision).sha256)
    return hashlib.sha256(json.dumps(used).encode()).hexdigest()
