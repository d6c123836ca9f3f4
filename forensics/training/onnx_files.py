"""ONNX files of trained networks: FP32 reference from a checkpoint, compact storage.

Only this module opens a `.pt` checkpoint, through ultralytics: such files are pickles, so export
only checkpoints of your own training.
"""

from __future__ import annotations

import io
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnx import TensorProto, helper, numpy_helper

from forensics.backends import Normalisation
from forensics.backends.graphs import with_full_weights
from forensics.errors import TrainingError
from forensics.training.classifier_model import FitMeta, load_fit
from forensics.training.padding import with_folded_padding
from forensics.types import FloatArray, ImageArray

OPSET = 17
SMALL = 1024  # tensors with fewer elements stay float32: they weigh nothing, biases matter
SCORE_TOLERANCE = 1e-3
BOX_TOLERANCE_PX = 0.5
LOGIT_TOLERANCE = 1e-2


def detector_from_checkpoint(
    path: Path, pictures: ImageArray
) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """Export an ultralytics checkpoint; compare with torch on `pictures` (n, imgsz, imgsz, 3).

    Returns the graph (dynamic batch and size, no NMS) and the class names. Raises TrainingError.
    """
    if not path.is_file() or not zipfile.is_zipfile(path):
        raise TrainingError(f"{path} is no checkpoint of `train detector`; give its best.pt")
    from ultralytics import YOLO
    from ultralytics.utils import LOGGER

    LOGGER.setLevel("ERROR")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "detector.pt"  # the exporter writes beside its input
        shutil.copyfile(path, copy)
        try:
            network = YOLO(str(copy), task="detect")
            names = tuple(str(name) for _, name in sorted(network.names.items()))
            reference = network.model.float().eval()
            with torch.no_grad():
                expected = reference(torch.from_numpy(as_input(pictures, Normalisation())))[0]
            written = network.export(
                format="onnx", dynamic=True, opset=OPSET, simplify=False, verbose=False
            )
            graph = _without_circumstances(onnx.load(str(written)))
        except Exception as error:  # ultralytics and the unpickler raise anything
            raise TrainingError(
                f"{path} cannot be exported ({type(error).__name__}: {_line(error)}); give the "
                "best.pt of a detector training"
            ) from error
    result = run_graph(graph, as_input(pictures, Normalisation()))
    _check_close(result[:, 4:], expected.numpy()[:, 4:], SCORE_TOLERANCE, "scores", path)
    _check_close(result[:, :4], expected.numpy()[:, :4], BOX_TOLERANCE_PX, "boxes", path)
    return _checked(graph, path), names


def classifier_from_fit(folder: Path, crops: ImageArray | None) -> tuple[onnx.ModelProto, FitMeta]:
    """Export a FIT folder; compare with torch on `crops` (n, imgsz, imgsz, 3). TrainingError."""
    model, meta = load_fit(folder)
    buffer = io.BytesIO()
    dummy = torch.zeros(1, 3, meta.imgsz, meta.imgsz)
    torch.onnx.export(
        model,
        (dummy,),
        buffer,
        input_names=["images"],
        output_names=["logits"],
        dynamic_axes={"images": {0: "batch"}, "logits": {0: "batch"}},
        opset_version=OPSET,
        dynamo=False,
    )
    graph = with_folded_padding(onnx.load_from_string(buffer.getvalue()))
    if crops is not None and len(crops):
        planes = as_input(crops, Normalisation(meta.mean, meta.std))
        with torch.no_grad():
            expected = model(torch.from_numpy(planes)).numpy()
        _check_close(run_graph(graph, planes), expected, LOGIT_TOLERANCE, "logits", folder)
    return _checked(graph, folder), meta


def read_graph(path: Path) -> onnx.ModelProto:
    """Read and check an ONNX file. Raises TrainingError."""
    try:
        graph = onnx.load_from_string(path.read_bytes())
    except OSError as error:
        raise TrainingError(f"cannot read {path}: {error.strerror}") from error
    except Exception as error:  # protobuf's own exceptions
        raise TrainingError(f"{path} is no ONNX file ({_line(error)}); export it again") from error
    return with_full_weights(_checked(graph, path))


def input_side(graph: onnx.ModelProto) -> int:
    """Side in pixels of the square pictures that the graph takes; 0 where it takes any."""
    sides = graph.graph.input[0].type.tensor_type.shape.dim[2:4]
    return int(sides[0].dim_value) if len(sides) == 2 else 0


def as_input(pictures: ImageArray, normalisation: Normalisation) -> FloatArray:
    """uint8 (n, s, s, 3) -> float32 (n, 3, s, s) as a network takes it."""
    mean, std = (np.asarray(v, np.float32) for v in (normalisation.mean, normalisation.std))
    planes = (pictures.astype(np.float32) - 255 * mean) / (255 * std)
    return np.ascontiguousarray(planes.transpose(0, 3, 1, 2))


def run_graph(graph: onnx.ModelProto, planes: FloatArray) -> FloatArray:
    """First output of the graph in ONNX Runtime, image by image."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(
        graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    results = [session.run(None, {name: planes[[n]]})[0] for n in range(len(planes))]
    return np.concatenate(results).astype(np.float32)


def with_half_weights(graph: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose large weights are stored as float16 and cast back before use.

    The weights are rounded to half precision, once; everything is computed in float32, exactly as
    by a graph that stores the rounded weights as float32: engines fold the casts when they load.
    """
    halved = onnx.ModelProto()
    halved.CopyFrom(graph)
    for tensor in halved.graph.initializer:
        if not _is_large(tensor):
            continue
        values, name = numpy_helper.to_array(tensor).astype(np.float16), tensor.name
        if not np.isfinite(values).all():
            raise TrainingError(f"weights of {name} exceed half precision; train with decay")
        tensor.CopyFrom(numpy_helper.from_array(values, f"{name}.half"))
        cast = helper.make_node(
            "Cast", [f"{name}.half"], [name], name=f"{name}.cast", to=TensorProto.FLOAT
        )
        halved.graph.node.insert(0, cast)
    return _checked(halved, Path("the compact graph"))


def with_rounded_weights(graph: onnx.ModelProto) -> onnx.ModelProto:
    """A copy with the same rounded weights, stored plainly: what quantisation starts from."""
    rounded = onnx.ModelProto()
    rounded.CopyFrom(graph)
    for tensor in rounded.graph.initializer:
        if _is_large(tensor):
            values = numpy_helper.to_array(tensor).astype(np.float16).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return rounded


def _is_large(tensor: Any) -> bool:
    """Whether a tensor is a weight worth storing in half: biases and scales are vectors."""
    size = int(np.prod(tensor.dims, dtype=np.int64))
    return tensor.data_type == TensorProto.FLOAT and len(tensor.dims) > 1 and size >= SMALL


def _without_circumstances(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Drop when and from which folder it was trained: the same network gives the same bytes."""
    kept = [entry for entry in graph.metadata_props if entry.key not in {"date", "description"}]
    del graph.metadata_props[:]
    graph.metadata_props.extend(kept)
    return graph


def _check_close(found: Any, expected: Any, tolerance: float, what: str, path: Path) -> None:
    worst = float(np.abs(np.asarray(found) - expected).max(initial=0.0))
    if not worst <= tolerance:
        raise TrainingError(
            f"the ONNX export of {path} gives other {what} than the checkpoint (difference "
            f"{worst:.3g}, allowed {tolerance:g}); use the pinned torch and ultralytics"
        )


def _checked(graph: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    try:
        onnx.checker.check_model(graph, full_check=True)
    except Exception as error:
        raise TrainingError(f"{path} is not a valid ONNX graph ({_line(error)})") from error
    return graph


def _line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:200] if lines else repr(error)[:200]
