"""The decision: a pure function of scores and thresholds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from forensics.types import FloatArray, OperatingPoint


def decide(
    detector_score: FloatArray, target_score: FloatArray, point: OperatingPoint
) -> NDArray[np.bool_]:
    """Which detections are alarms: detector score and target score both at or above threshold.

    Takes float32 (n,) scores; an unscored crop is NaN and is never an alarm of the cascade.
    Thresholds are cast to float32 first, because a logged 0.7 is float32(0.7), which is smaller
    than the double 0.7. With `point.classifier` None only the detector counts.
    """
    alarm = np.asarray(detector_score >= np.float32(point.detector))
    if point.classifier is not None:
        alarm &= target_score >= np.float32(point.classifier)
    return alarm
