"""Exported model files and cascade folders: real networks, real engines, few pictures."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra `train` is not installed")
pytest.importorskip("onnx", reason="the extra `train` is not installed")

import onnx
import torch
from onnx import numpy_helper

from forensics.backends import Model, Normalisation, available_backends, open_engine
from forensics.backends.graphs import to_fp16, with_full_weights
from forensics.cascade.definition import load_cascade
from forensics.cli.main import run
from forensics.errors import CascadeError, TrainingError, TruthError
from forensics.runlog.reader import open_run
from forensics.scan.settings import default_settings
from forensics.training import calibration_pictures as pictures
from forensics.training import onnx_files
from forensics.training.cascade_files import read_card_facts
from forensics.training.classifier_model import (
    FitMeta,
    create_classifier,
    save_weights,
    write_meta,
)
from forensics.training.export import ExportPlan, export_cascade
from forensics.training.quantise import (
    check_engines,
    guarded,
    kept_in_float,
    quantise,
    symmetric_violations,
)
from forensics.truth.load import load_truth
from tests.support.scans import Silent

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "datasets" / "sample"
MODELS = Path(os.environ.get("FORENSICS_MODELS", ROOT.parent / "shared" / "models"))
CHECKPOINT = MODELS / "handgun-baseline" / "detector.pt"
BASE = load_cascade("handgun")
assert BASE.classifier is not None
NORMALISATIONS = {"detector": Normalisation(), "classifier": BASE.classifier.normalisation}
SPECS: dict[str, Any] = {"detector": BASE.detector, "classifier": BASE.classifier}
IMGSZ = 320
HERE = [n for n, v in available_backends().items() if not v.startswith("not available")]
FILES = [SAMPLE / name for name in ("gate-pistol.mp4", "lawn-pistol.mp4", "table-box.mp4")]


@pytest.fixture(scope="module")
def views() -> Any:
    return pictures.views(FILES, IMGSZ, 9)


@pytest.fixture(scope="module")
def crops() -> Any:
    assert BASE.classifier is not None
    spec = replace(BASE.detector, imgsz=IMGSZ)
    model = spec.files["fp32"].load("fp32", IMGSZ)
    return pictures.crops(FILES, model, spec, BASE.classifier, 9)


@pytest.fixture(scope="module")
def shown(views: Any, crops: Any) -> dict[str, Any]:
    return {"detector": views, "classifier": crops}


@pytest.fixture(scope="module")
def graphs() -> dict[str, onnx.ModelProto]:
    return {s: onnx_files.read_graph(SPECS[s].files["fp32"].path) for s in SPECS}


@pytest.fixture(scope="module")
def small(graphs: Any, shown: Any) -> dict[str, onnx.ModelProto]:
    return {s: quantise(graphs[s], shown[s], NORMALISATIONS[s]) for s in SPECS}


def answer(graph: onnx.ModelProto, backend: str, stage: str, images: Any) -> Any:
    data = graph.SerializeToString()
    model = Model(f"{stage}.onnx", data, hashlib.sha256(data).hexdigest(), "x", images.shape[1])
    return open_engine(backend, model, NORMALISATIONS[stage]).infer(images)


def test_calibration_pictures_are_what_a_scan_sees(views: Any, crops: Any) -> None:
    assert views.shape == (9, IMGSZ, IMGSZ, 3)
    assert BASE.classifier is not None
    side = BASE.classifier.imgsz
    assert crops.shape[1:] == (side, side, 3) and len(crops) > 8
    assert np.array_equal(crops[..., 0], crops[..., 2])  # grey, as the classifier was trained
    assert len(np.unique(views.reshape(9, -1), axis=0)) == 9


@pytest.mark.parametrize("stage", ["detector", "classifier"])
@pytest.mark.parametrize("backend", HERE)
def test_half_stored_weights_change_nothing_but_their_rounding(
    graphs: Any, shown: Any, stage: str, backend: str
) -> None:
    halved = onnx_files.with_half_weights(graphs[stage])
    rounded = onnx_files.with_rounded_weights(graphs[stage])
    assert halved.ByteSize() < 0.6 * graphs[stage].ByteSize()
    images = shown[stage][:3]
    one, other = (answer(graph, backend, stage, images) for graph in (halved, rounded))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("stage", ["detector", "classifier"])
def test_half_stored_weights_unfold_into_what_was_rounded(graphs: Any, stage: str) -> None:
    halved = onnx_files.with_half_weights(graphs[stage])
    assert any(node.op_type == "Cast" and node.name.endswith(".cast") for node in halved.graph.node)
    full = with_full_weights(halved)
    rounded = onnx_files.with_rounded_weights(graphs[stage])
    assert full.SerializeToString() == rounded.SerializeToString()


@pytest.mark.parametrize("stage", ["detector", "classifier"])
def test_int8_is_symmetric_and_per_channel(graphs: Any, small: Any, stage: str) -> None:
    graph = small[stage]
    assert symmetric_violations(graph) == []
    tensors = {t.name: numpy_helper.to_array(t) for t in graph.graph.initializer}
    weights = {n: t for n, t in tensors.items() if t.dtype == np.int8 and t.ndim == 4}
    assert len(weights) > 40
    scales = [
        tensors[node.input[1]].size
        for node in graph.graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in weights
    ]
    assert sorted(scales) == sorted(t.shape[0] for t in weights.values())
    makers = {o: node.op_type for node in graph.graph.node for o in node.output}
    kept = set(kept_in_float(graphs[stage]))
    for node in graph.graph.node:
        if node.op_type == "Conv":
            wanted = node.name in kept
            assert (makers.get(node.input[0]) != "DequantizeLinear") == wanted, node.name


def test_guard_changes_nothing(graphs: Any, views: Any) -> None:
    planes = onnx_files.as_input(views[:2], Normalisation())
    guard = guarded(graphs["detector"])
    added = [node for node in guard.graph.node if node.op_type == "LeakyRelu"]
    assert len(added) == 17  # the Concats of YOLO11n that feed convolutions
    np.testing.assert_array_equal(
        onnx_files.run_graph(guard, planes), onnx_files.run_graph(graphs["detector"], planes)
    )


def test_engine_that_reads_int8_otherwise_is_caught(
    graphs: Any, views: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the guard behind a Concat, OpenVINO computes other numbers."""
    from forensics.training import quantise as module

    monkeypatch.setattr(module, "guarded", lambda graph: graph)
    bare = quantise(graphs["detector"], views, Normalisation())
    with pytest.raises(TrainingError, match="openvino computes other results"):
        check_engines(graphs["detector"], bare, views, Normalisation(), 4)


@pytest.mark.parametrize("stage", ["detector", "classifier"])
def test_int8_runs_alike_on_both_engines(graphs: Any, small: Any, shown: Any, stage: str) -> None:
    images = shown[stage][:4]
    rows = np.s_[:, 4:] if stage == "detector" else np.s_[:]
    reference = answer(graphs[stage], "onnxruntime", stage, images)[rows]
    found = {b: answer(small[stage], b, stage, images) for b in HERE}
    seen = np.abs(reference) > 0.05
    for backend, values in found.items():
        error = np.abs(values[rows] - reference)[seen].mean()
        assert 0 < error < 0.15 * max(1.0, float(np.abs(reference[seen]).mean())), backend
        again = answer(small[stage], backend, stage, images[[2]])
        np.testing.assert_array_equal(again[0], values[2])  # whatever else is in the batch
    apart = np.abs(found["openvino"] - found["onnxruntime"])[rows][seen].mean()
    assert apart < 0.1


def test_fp16_graph_loads(graphs: Any, views: Any) -> None:
    half = to_fp16(graphs["detector"])
    assert half.ByteSize() < 0.6 * graphs["detector"].ByteSize()
    planes = onnx_files.as_input(views[:2], Normalisation())
    expected = onnx_files.run_graph(graphs["detector"], planes)
    np.testing.assert_allclose(onnx_files.run_graph(half, planes)[:, 4], expected[:, 4], atol=0.05)


@pytest.mark.skipif(not CHECKPOINT.is_file(), reason="no baseline (set FORENSICS_MODELS)")
def test_checkpoint_is_exported_as_torch_computes_it(views: Any) -> None:
    graph, names = onnx_files.detector_from_checkpoint(CHECKPOINT, views[:2])
    assert names == ("gun",)
    assert not {"date", "description"} & {entry.key for entry in graph.metadata_props}
    planes = onnx_files.as_input(views[:2], Normalisation())
    np.testing.assert_allclose(
        onnx_files.run_graph(graph, planes),
        onnx_files.run_graph(onnx_files.read_graph(CHECKPOINT.with_suffix(".onnx")), planes),
        atol=0.2,  # pixels: that file was exported from fused weights in half precision
        rtol=1e-2,
    )


def fit_folder(folder: Path) -> FitMeta:
    torch.manual_seed(1)
    mean, std = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
    names, rule = (("gun", "other"), ("gun",)), (64, 1.4, 24, "rgb")
    meta = FitMeta("tf_efficientnet_lite0", *names, *rule, mean, std, temperature=1.5)
    save_weights(folder, create_classifier(meta.model, 2).state_dict())
    write_meta(folder, meta)
    return meta


def test_fit_is_exported_as_torch_computes_it(tmp_path: Path, crops: Any) -> None:
    fit_folder(tmp_path)
    images = np.ascontiguousarray(crops[:3, :64, :64])
    graph, meta = onnx_files.classifier_from_fit(tmp_path, images)
    planes = onnx_files.as_input(images, Normalisation(meta.mean, meta.std))
    assert onnx_files.run_graph(graph, planes).shape == (3, 2)
    assert "Pad" not in {node.op_type for node in graph.graph.node}


@pytest.mark.parametrize("content", [b"", b"\x80\x04.", b"PK\x05\x06" + bytes(18), b"text"])
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, views: Any, content: bytes) -> None:
    path = tmp_path / "best.pt"
    path.write_bytes(content)
    with pytest.raises(TrainingError, match=r"best\.pt"):
        onnx_files.detector_from_checkpoint(path, views[:1])


def test_what_is_no_onnx_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"not a graph")
    with pytest.raises(TrainingError, match="net.onnx"):
        onnx_files.read_graph(path)
    with pytest.raises(TrainingError, match="cannot read"):
        onnx_files.read_graph(tmp_path / "none.onnx")


def plan(out: Path, **changes: Any) -> ExportPlan:
    values: dict[str, Any] = {
        "detector": BASE.folder,
        "classifier": None,
        "base": "handgun",
        "name": 'a "quoted" name',
        "version": "9.1",
        "out": out,
        "calibration": tuple(FILES[:2]),
        "validation": (FILES[0],),
        "imgsz": 160,
        "frames": 4,
        "operating_point": (0.3, 0.45),
        "chosen": "by a test",
    }
    return ExportPlan(**{**values, **changes})


def test_folder_goes_through_scan_and_verify(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit_folder(tmp_path / "FIT")
    sources = tmp_path / "sources.toml"
    sources.write_text('[[source]]\nname="clips"\nlicence="CC BY 4.0"\ncounts={train=3}\n')
    out, target = tmp_path / "new", tmp_path / "RUN"
    code = run(
        ["export", "--detector", "handgun", "--classifier", str(tmp_path / "FIT")]
        + ["--calibration", str(FILES[0]), "--validation", str(FILES[0])]
        + ["--truth", str(SAMPLE / "truth"), "--name", "mine", "--version", "2.0"]
        + ["--imgsz", "160", "--frames", "4", "--max-flips", "1", "--max-recall-loss", "1"]
        + ["--min-found", "0", "--fp16"]
        + ["--operating-point", "0.3", "0.4", "--chosen", "by hand", "--out", str(out)]
        + ["--card-data", str(sources)]
        + [f"--class-map={name}=" for name in ("cell_phone", "umbrella", "bag")]
    )
    assert code == 0, capsys.readouterr().err
    cascade = load_cascade(str(out))
    assert cascade.precisions == ("int8", "fp16", "fp32")
    assert cascade.classifier is not None and cascade.classifier.temperature == 1.5
    assert (cascade.operating_point.detector, cascade.chosen_how) == (0.3, "by hand")
    for spec in (cascade.detector, cascade.classifier):
        for reference in spec.files.values():
            assert hashlib.sha256(reference.path.read_bytes()).hexdigest() == reference.sha256
    card = (out / "card.md").read_text()
    assert "| clips | CC BY 4.0 | train 3 |" in card
    assert "int8 against FP32 on openvino: **passed**" in card
    assert "fp16 against FP32 on onnxruntime: **passed**" in card
    rows = json.loads((out / "parity.json").read_text())["precisions"]
    assert [(row["precision"], row["passed"]) for row in rows] == [("int8", True), ("fp16", True)]

    assert default_settings(str(out), "onnxruntime").precision == "fp32"
    settings = default_settings(str(out), "openvino")
    assert (settings.precision, settings.arithmetic) == ("int8", "fp32")
    assert "int8 models (checked: int8, fp16, fp32)" in settings.backend_why
    assert settings.config_hash() != replace(settings, precision="fp32").config_hash()
    with pytest.raises(CascadeError, match="not checked with bf16"):
        default_settings(str(out), "openvino", "bf16", "int8")

    still = FILES[0]
    assert run(["scan", str(still), "--cascade", str(out), "--backend", "openvino"]
               + ["--frame-sample", "20", "--out", str(target)]) == 0  # fmt: skip
    manifest = open_run(target).manifest
    assert manifest["precision"] == "int8"
    assert {engine["precision"] for engine in manifest["engines"]} == {"int8"}
    assert run(["verify", str(target)]) == 0


def test_without_int8(tmp_path: Path) -> None:
    cascade, parities = export_cascade(
        plan(tmp_path / "new", int8=False, validation=()),
        None,
        read_card_facts(None, None, None),
        Silent(),
        lambda text: None,
    )
    assert parities == ()
    assert cascade.precisions == ("fp32",) and list(cascade.detector.files) == ["fp32"]
    assert cascade.name == 'a "quoted" name'
    assert not list(tmp_path.glob(".export-*"))


def test_rejected_export_leaves_no_cascade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A damaged INT8 detector (its output convolutions' scales halved) must not pass."""
    from forensics.training import export

    monkeypatch.setattr(
        export, "quantise", lambda *given, **more: damaged(quantise(*given, **more))
    )
    monkeypatch.setattr(export, "check_engines", lambda *given: 0.0)
    facts = read_card_facts(None, None, None)
    truth = load_truth((SAMPLE / "truth",), None)
    out = tmp_path / "new"
    with pytest.raises(TrainingError, match="does not pass the parity gate"):
        export_cascade(plan(out, imgsz=320), truth, facts, Silent(), lambda text: None)
    assert not out.exists()
    rejected = load_cascade(str(tmp_path / "new.rejected"))
    assert rejected.precisions == ("fp32",)
    assert "**failed**" in (rejected.folder / "card.md").read_text()
    with pytest.raises(TrainingError, match="exists already"):
        export_cascade(plan(out), truth, facts, Silent(), lambda text: None)


def damaged(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Halve the scale of every quantised convolution weight of the head."""
    for tensor in graph.graph.initializer:
        if tensor.name.endswith("_scale") and ".cv3." in tensor.name:
            values = numpy_helper.to_array(tensor) * np.float32(0.5)
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float32), tensor.name))
    return graph


def test_an_onnx_classifier_says_itself_how_large_its_crops_are(tmp_path: Path) -> None:
    fit_folder(tmp_path / "FIT")
    graph, meta = onnx_files.classifier_from_fit(tmp_path / "FIT", None)
    assert BASE.classifier is not None and meta.imgsz != BASE.classifier.imgsz
    (tmp_path / "net.onnx").write_bytes(graph.SerializeToString())
    wanted = plan(tmp_path / "new", classifier=tmp_path / "net.onnx", int8=False, frames=2)
    facts = read_card_facts(None, None, None)
    cascade, _ = export_cascade(wanted, None, facts, Silent(), lambda text: None)
    assert cascade.classifier is not None and cascade.classifier.imgsz == meta.imgsz


@pytest.mark.parametrize(
    ("content", "words"),
    [("name = 1", "lists no"), ('[[source]]\nname="x"', "no licence"), ("=", "cannot be read")],
)
def test_bad_card_data(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "sources.toml"
    path.write_text(content)
    with pytest.raises(TrainingError, match=words):
        read_card_facts(path, None, None)


@pytest.mark.parametrize(
    ("line", "words"), [('["int8"]', "leaves out fp32"), ('["fp32", "int8"]', "names int8")]
)
def test_precisions_need_files(tmp_path: Path, line: str, words: str) -> None:
    text = (BASE.folder / "cascade.toml").read_text()
    without = re.sub(r"\[\w+\.files\.int8\]\nfile = .*\nsha256 = .*\n", "", text)
    assert "int8.onnx" in text and "int8.onnx" not in without
    changed = re.sub("(?m)^precisions = .*$", f"precisions = {line}", without)
    (tmp_path / "cascade.toml").write_text(changed)
    with pytest.raises(CascadeError, match=words):
        load_cascade(str(tmp_path))
    (tmp_path / "cascade.toml").write_text(re.sub("(?m)^precisions = .*\n", "", without))
    assert load_cascade(str(tmp_path)).precisions == ("fp32",)


def test_unknown_truth_class_is_said_before_the_scans(tmp_path: Path) -> None:
    truth = load_truth((SAMPLE / "truth",), None)
    seen = Silent()
    changes: dict[str, Any] = {"classifier": tmp_path / "FIT", "class_map": {"bag": ""}}
    changes |= {"imgsz": IMGSZ, "frames": 9}  # enough that both engines read INT8 alike
    fit_folder(tmp_path / "FIT")
    with pytest.raises(TruthError, match="unknown to this run"):
        export_cascade(plan(tmp_path / "new", **changes), truth,
                       read_card_facts(None, None, None), seen, lambda text: None)  # fmt: skip
    assert seen.seen == 0 and not (tmp_path / "new").exists()


@pytest.mark.parametrize("kind", ["int8", "fp16"])
def test_parity_needs_validation(tmp_path: Path, kind: str) -> None:
    with pytest.raises(TrainingError, match=f"{kind} needs --validation"):
        export_cascade(
            plan(tmp_path / "new", **{"int8": False, kind: True}),
            None,
            read_card_facts(None, None, None),
            Silent(),
            print,
        )
