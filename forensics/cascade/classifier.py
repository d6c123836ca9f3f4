"""Second stage: what is on the crop?"""

from __future__ import annotations

import numpy as np

from forensics.backends import Engine
from forensics.cascade.definition import ClassifierSpec
from forensics.errors import BackendError, CascadeError
from forensics.types import FloatArray, ImageArray


class Classifier:
    """Runs the classifier engine on crops; keeps the whole probability vector."""

    def __init__(self, engine: Engine, spec: ClassifierSpec) -> None:
        self.engine = engine
        self.spec = spec
        self._targets = [spec.classes.index(name) for name in spec.targets]

    def probabilities(self, crops: ImageArray) -> FloatArray:
        """uint8 (n, imgsz, imgsz, 3) -> softmax of logits / temperature, float32 (n, classes)."""
        return self.of_logits(self.engine.infer(crops))

    def of_logits(self, logits: FloatArray) -> FloatArray:
        """The engine's output float32 (n, classes) -> probabilities, alike.

        Raises CascadeError where the class count is another, BackendError where values are no
        numbers.
        """
        if logits.ndim != 2 or logits.shape[1] != len(self.spec.classes):
            raise CascadeError(
                f"classifier output has shape {logits.shape}, not (n, {len(self.spec.classes)}): "
                "the class count in cascade.toml does not fit the model"
            )
        if not np.isfinite(logits).all():
            raise BackendError("the classifier gave values that are not numbers; use another model")
        # In double precision, so that the vector sums to 1 as well as float32 can say.
        shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True, initial=-np.inf)
        powers = np.exp(shifted / self.spec.temperature)
        return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)

    def target_score(self, probabilities: FloatArray) -> FloatArray:
        """Summed probability of the target classes, float32 (n,)."""
        summed = probabilities[:, self._targets].sum(axis=1, dtype=np.float64)
        return np.asarray(summed, np.float32)
