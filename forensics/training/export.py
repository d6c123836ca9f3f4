"""From two trained networks to a cascade folder: FP32 and INT8 files, parity, hashes, card."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import onnx

from forensics.backends import Model, resolve_backend
from forensics.backends.graphs import to_fp16
from forensics.cascade.definition import (
    CascadeDefinition,
    ClassifierSpec,
    DetectorSpec,
    ModelRef,
    load_cascade,
)
from forensics.errors import CascadeError, TrainingError
from forensics.evaluation.classes import class_roles
from forensics.evaluation.rules import Rules, run_rules
from forensics.footage.find import hash_file
from forensics.runlog.writer import write_bytes, write_json
from forensics.scan.local import Progress
from forensics.training import calibration_pictures as pictures
from forensics.training import onnx_files
from forensics.training.cascade_files import (
    CardFacts,
    CascadeText,
    as_point,
    write_card,
    write_cascade,
)
from forensics.training.onnx_files import with_half_weights, with_rounded_weights
from forensics.training.padding import with_folded_padding
from forensics.training.parity import Limits, Parity, check_parity, scan_both
from forensics.training.quantise import check_engines, quantise
from forensics.truth.base import Truth
from forensics.types import ImageArray

CHECKED_PICTURES = 4
MAX_CROPS = 512
PARITY_FILE = "parity.json"
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ExportPlan:
    """What to export and how it is checked. `classifier` None takes the one of `base`.

    `detector` and `classifier` are a checkpoint (best.pt, a FIT folder), an .onnx file or a
    cascade folder. `imgsz` in pixels, None = base's; `frames` at most are used to calibrate.
    """

    detector: Path
    classifier: Path | None
    base: str
    name: str
    version: str
    out: Path
    calibration: tuple[Path, ...]
    validation: tuple[Path, ...]
    licence: str = "AGPL-3.0-or-later"
    description: str = ""
    operating_point: tuple[float, float] | None = None
    chosen: str = ""
    imgsz: int | None = None
    frames: int = 128
    int8: bool = True
    fp16: bool = False
    backend: str = "auto"
    limits: Limits = field(default_factory=Limits)
    unlabelled: str = "skip"
    class_map: Mapping[str, str] = field(default_factory=dict)

    @property
    def gated(self) -> tuple[str, ...]:
        """Precisions that must pass the parity gate."""
        wanted = {"int8": self.int8, "fp16": self.fp16}
        return tuple(name for name, is_wanted in wanted.items() if is_wanted)


@dataclass(frozen=True, slots=True)
class _Networks:
    """Both graphs in float32, their specs (files still those of the base) and pictures."""

    detector: onnx.ModelProto
    detector_spec: DetectorSpec
    views: ImageArray
    classifier: onnx.ModelProto | None
    classifier_spec: ClassifierSpec | None
    crops: ImageArray | None


def export_cascade(
    plan: ExportPlan, truth: Truth | None, card: CardFacts, progress: Progress, say: Say
) -> tuple[CascadeDefinition, tuple[Parity, ...]]:
    """Write the cascade folder `plan.out`. Raises TrainingError; see `_reject` for parity."""
    base = load_cascade(plan.base)
    if plan.gated and (truth is None or not plan.validation):
        kinds = " and ".join(plan.gated)
        raise TrainingError(
            f"{kinds} needs --validation footage and its --truth, or give --no-int8 and no --fp16"
        )
    for folder in (plan.out, _rejected(plan.out)):
        if folder.exists():
            raise TrainingError(f"{folder} exists already; move it away or choose another --out")
    plan.out.absolute().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=plan.out.absolute().parent, prefix=".export-") as work:
        folder = Path(work) / "cascade"
        folder.mkdir()
        networks = _networks(plan, base, say)
        text = _write_models(plan, base, networks, folder, say)
        cascade = write_cascade(folder, text)
        parities: list[Parity] = []
        if plan.gated and truth is not None:
            _check_classes(plan, truth, cascade)  # before the scans, which may take hours
            parities = [
                _judge(plan, kind, cascade, truth, Path(work), progress, say) for kind in plan.gated
            ]
        facts = {"calibration": _counts(networks)}
        failed = [parity for parity in parities if parity.failures]
        if not failed:
            cascade = write_cascade(folder, replace(text, precisions=(*plan.gated, "fp32")))
        rows = [parity.to_json() for parity in parities]
        write_json({"schema": 1, "precisions": rows, **facts}, folder / PARITY_FILE)
        write_card(cascade, card, rows, facts)
        if failed:
            _reject(folder, plan.out, failed[0])
        folder.replace(plan.out)
    return load_cascade(plan.out), tuple(parities)


def _judge(
    plan: ExportPlan,
    kind: str,
    cascade: CascadeDefinition,
    truth: Truth,
    work: Path,
    progress: Progress,
    say: Say,
) -> Parity:
    """Set the files of a precision against FP32.

    FP16 files are run by ONNX Runtime, which computes most layers in float32 between values kept
    in float16: a check that is needed, not one of what a GPU makes of them.
    """
    say(f"scanning the validation footage with FP32 and {kind.upper()}")
    backend = resolve_backend("onnxruntime" if kind == "fp16" else plan.backend)
    runs = scan_both(cascade, kind, plan.validation, work / kind, backend, progress)
    rules = run_rules(runs[0], unlabelled=plan.unlabelled, class_map=plan.class_map)
    return check_parity(*runs, truth, cascade.operating_point, plan.limits, rules)


def _check_classes(plan: ExportPlan, truth: Truth, cascade: CascadeDefinition) -> None:
    """Raises TruthError where the truth names a class that nothing is known of."""
    targets = cascade.target_classes
    names = () if cascade.classifier is None else cascade.classifier.classes
    known = tuple(name for name in names if name not in targets)
    class_roles(truth, Rules(class_map=plan.class_map), targets, known)


def _rejected(out: Path) -> Path:
    return out.with_name(f"{out.name}.rejected")


def _reject(folder: Path, out: Path, parity: Parity) -> None:
    folder.replace(_rejected(out))
    raise TrainingError(
        f"{parity.precision} does not pass the parity gate: {'; '.join(parity.failures)}. See "
        f"{_rejected(out) / 'card.md'}; give more --calibration footage, or --no-int8"
    )


def _counts(networks: _Networks) -> dict[str, int]:
    crops = 0 if networks.crops is None else len(networks.crops)
    return {"frames": len(networks.views), "crops": crops}


def _networks(plan: ExportPlan, base: CascadeDefinition, say: Say) -> _Networks:
    spec = replace(base.detector, imgsz=plan.imgsz or base.detector.imgsz)
    say("reading the calibration footage")
    views = pictures.views(plan.calibration, spec.imgsz, plan.frames)
    detector, spec = _detector(plan.detector, spec, views)
    if plan.classifier is None and base.classifier is None:
        return _Networks(detector, spec, views, None, None, None)
    crop_spec = _crop_spec(plan, base)
    model = _as_model(with_rounded_weights(detector), spec.imgsz)
    crops = pictures.crops(plan.calibration, model, spec, crop_spec, plan.frames)[:MAX_CROPS]
    classifier = _classifier(plan, base, crops)
    return _Networks(detector, spec, views, classifier, crop_spec, crops)


def _detector(
    path: Path, spec: DetectorSpec, views: ImageArray
) -> tuple[onnx.ModelProto, DetectorSpec]:
    if path.suffix == ".pt":
        graph, names = onnx_files.detector_from_checkpoint(path, views[:CHECKED_PICTURES])
        wanted = tuple(name for name in names if name in spec.candidates) or names
        return graph, replace(spec, classes=names, candidates=wanted)
    if path.is_dir():
        other = load_cascade(path).detector
        path, spec = other.files["fp32"].path, replace(other, imgsz=spec.imgsz)
    return onnx_files.read_graph(path), spec


def _crop_spec(plan: ExportPlan, base: CascadeDefinition) -> ClassifierSpec:
    if plan.classifier is not None and (plan.classifier / "classifier.json").is_file():
        from forensics.training.classifier_model import read_meta

        return read_meta(plan.classifier).crop_spec()
    source = base
    if plan.classifier is not None and plan.classifier.is_dir():
        source = load_cascade(plan.classifier)
    if source.classifier is None:
        raise TrainingError(
            f"{source.name} has no classifier, so nothing says how to cut crops; give a --base "
            "that has one"
        )
    if plan.classifier is None or plan.classifier.is_dir():
        return source.classifier
    side = onnx_files.input_side(onnx_files.read_graph(plan.classifier))
    return replace(source.classifier, imgsz=side or source.classifier.imgsz)


def _classifier(plan: ExportPlan, base: CascadeDefinition, crops: ImageArray) -> onnx.ModelProto:
    path = plan.classifier
    if path is not None and (path / "classifier.json").is_file():
        return onnx_files.classifier_from_fit(path, crops[:CHECKED_PICTURES])[0]
    if path is None or path.is_dir():
        spec = (base if path is None else load_cascade(path)).classifier
        if spec is None:
            raise CascadeError(f"{path or base.name} has no classifier; give another")
        path = spec.files["fp32"].path
    return with_folded_padding(onnx_files.read_graph(path))


def _as_model(graph: onnx.ModelProto, imgsz: int) -> Model:
    return Model("detector", graph.SerializeToString(), "0" * 64, "fp32", imgsz)


def _write_models(
    plan: ExportPlan, base: CascadeDefinition, networks: _Networks, folder: Path, say: Say
) -> CascadeText:
    stages: list[tuple[str, onnx.ModelProto, Any, ImageArray, int]] = [
        ("detector", networks.detector, networks.detector_spec, networks.views, 4)
    ]
    if networks.classifier is not None and networks.crops is not None:
        second = (networks.classifier, networks.classifier_spec, networks.crops, 0)
        stages.append(("classifier", *second))
    specs: dict[str, Any] = {"classifier": None}
    for stage, graph, spec, shown, first in stages:
        files = {"fp32": _write(folder, f"{stage}.fp32.onnx", with_half_weights(graph))}
        if plan.int8:
            say(f"quantising the {stage} on {len(shown)} pictures")
            small = quantise(with_rounded_weights(graph), shown, spec.normalisation)
            check_engines(graph, small, shown[:CHECKED_PICTURES], spec.normalisation, first)
            files["int8"] = _write(folder, f"{stage}.int8.onnx", with_half_weights(small))
        if plan.fp16:
            half = to_fp16(with_rounded_weights(graph))
            files["fp16"] = _write(folder, f"{stage}.fp16.onnx", half)
        specs[stage] = replace(spec, files=files)
    return _text(plan, base, specs)


def _text(plan: ExportPlan, base: CascadeDefinition, specs: Mapping[str, Any]) -> CascadeText:
    point, chosen = base.operating_point, base.chosen_how
    if plan.operating_point is not None:
        point = as_point(*plan.operating_point)
        chosen = plan.chosen or "given to export; how it was chosen is not stated"
    elif base.operating_point.classifier is None and specs["classifier"] is not None:
        raise TrainingError("the base has no classifier threshold; give --operating-point")
    if specs["classifier"] is None:
        point = replace(point, classifier=None)
    return CascadeText(
        name=plan.name,
        version=plan.version,
        licence=plan.licence,
        description=plan.description or base.description,
        detector=specs["detector"],
        classifier=specs["classifier"],
        point=point,
        chosen=chosen,
        events=base.events,
        precisions=("fp32",),
    )


def _write(folder: Path, name: str, graph: onnx.ModelProto) -> ModelRef:
    path = folder / name
    write_bytes(graph.SerializeToString(), path)
    return ModelRef(path, hash_file(path))
