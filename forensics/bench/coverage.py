"""Do the intervals and promises hold?

python -m forensics.bench.coverage [--runs 2000] [--write]

Simulated cameras that differ (gamma effects, CV 1) and were watched for unequal times, judged by
the suite's own code: how often do nominal 95 % intervals hold the true rate, and how often does a
choice of thresholds break its promise about the cameras to come?
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from forensics.evaluation.goals import PER_CAMERA_DAY, RECALL, Goal, Terms
from forensics.evaluation.paired import Paired, compare_rates
from forensics.evaluation.rates import Interval, proportion_interval, rate_interval
from forensics.evaluation.surface import Surfaces
from forensics.evaluation.walk import pick

ROOT = Path(__file__).resolve().parents[2]
FIGURES = ROOT / "reports" / "coverage.json"
PAGE = ROOT / "reports" / "coverage.md"
CAMERAS = (8, 30, 60)
RISK, PATHS, STEPS = 0.05, 5, 100
LEAST_COVERED, SLACK = 0.90, 0.04
VIDEOS = 10
REPLICATES = 2000


@dataclass(frozen=True, slots=True)
class World:
    """How cameras differ: the CV of their gamma effects, and false alarms of an average one."""

    cv: float
    mean: float

    def effects(self, rng: Any, shape: Any) -> Any:
        """Gamma effects of mean 1; all 1 for a CV of 0."""
        if not self.cv:
            return np.ones(shape)
        k = 1 / self.cv**2
        return rng.gamma(k, 1 / k, shape)


def exposures(rng: Any, n: int) -> Any:
    """Unequal times of watching, mean 1: log-normal, a third to three times the median mostly."""
    return rng.lognormal(-0.125, 0.5, n)


def rate(world: World, n: int, rng: Any) -> tuple[Interval, float]:
    """False alarms per unit of time of cameras to come; each camera has ten unlike videos."""
    exposed = exposures(rng, n)
    videos = world.effects(rng, (n, VIDEOS)).mean(axis=1)
    level = world.mean * world.effects(rng, n) * videos
    return rate_interval(rng.poisson(level * exposed).astype(float), exposed), world.mean


def _arms(world: World, n: int, rng: Any, kept: tuple[float, float]) -> Paired:
    """Two arms on the same cameras: the second keeps a beta-distributed share of the first's."""
    exposed = exposures(rng, n)
    level = world.mean * world.effects(rng, n) * exposed
    share = rng.beta(*kept, n)
    a = rng.poisson(level)
    return _paired(a, rng.binomial(a, share), exposed, rng)


def _paired(a: Any, b: Any, exposed: Any, rng: Any) -> Paired:
    return compare_rates(
        a.astype(float), b.astype(float), exposed.astype(float),
        confidence=0.95, replicates=REPLICATES, seed=int(rng.integers(1 << 31)),
    )  # fmt: skip


def ratio(world: World, n: int, rng: Any) -> tuple[Interval, float]:
    """False alarms of one arm over another's on the same cameras, a third on average."""
    return _arms(world, n, rng, (1.5, 3)).ratio, 1 / 3


def small_ratio(world: World, n: int, rng: Any) -> tuple[Interval, float]:
    """The same, a tenth on average; what is kept differs much between cameras."""
    return _arms(world, n, rng, (0.5, 4.5)).ratio, 0.1


def difference(world: World, n: int, rng: Any) -> tuple[Interval, float]:
    """False alarms of one arm less another's on the same cameras, which keeps a third."""
    return _arms(world, n, rng, (1.5, 3)).difference, -2 / 3 * world.mean


def unlike(world: World, n: int, rng: Any) -> tuple[Interval, float]:
    """False alarms of one run less another's with half as many again, by cameras' own effects."""
    exposed = exposures(rng, n)
    level = world.mean * world.effects(rng, n) * exposed
    own = World(0.5, 1).effects(rng, n)
    found = _paired(rng.poisson(level), rng.poisson(1.5 * own * level), exposed, rng)
    return found.difference, 0.5 * world.mean


def recall(world: World, n: int, rng: Any) -> tuple[Interval, float]:
    """Share of incidents found; cameras differ in how hard theirs are, 0.75 on average."""
    totals = rng.poisson(world.mean, n).astype(float)
    hits = rng.binomial(totals.astype(int), rng.beta(3, 1, n)).astype(float)
    return _share(hits, totals, rng), 0.75


def _share(hits: Any, totals: Any, rng: Any) -> Interval:
    return proportion_interval(hits, totals, 0.95, REPLICATES, int(rng.integers(1 << 31)))


def recall_difference(world: World, n: int, rng: Any) -> tuple[Interval, float]:
    """Recall of one arm less another's, which loses a fifth of what is found."""
    totals = rng.poisson(world.mean, n)
    a = rng.binomial(totals, rng.beta(3, 1, n))
    b = rng.binomial(a, rng.beta(4, 1, n))
    return _paired(a, b, totals, rng).difference, -0.75 / 5


def precision(world: World, n: int, rng: Any) -> tuple[Interval, float]:
    """Share of alarms that are true: as many true as false, each with effects of its own."""
    exposed = world.mean * exposures(rng, n)
    true, false = (rng.poisson(exposed * world.effects(rng, n)).astype(float) for _ in range(2))
    return _share(true, true + false, rng), 0.5


Figure = Callable[[World, int, Any], tuple[Interval, float]]
INTERVALS: dict[str, tuple[Figure, World]] = {
    "rate, 5 false alarms a camera": (rate, World(1, 5)),
    "rate, 50 false alarms a camera": (rate, World(1, 50)),
    "rate, 5 a camera, cameras alike": (rate, World(0, 5)),
    "ratio of two arms, 50 a camera": (ratio, World(1, 50)),
    "recall, 5 incidents a camera": (recall, World(1, 5)),
    "recall, 2 incidents a camera": (recall, World(1, 2)),
    "ratio of two arms, 5 a camera": (ratio, World(1, 5)),
    "ratio of a tenth, 50 a camera": (small_ratio, World(1, 50)),
    "difference of two arms, 50 a camera": (difference, World(1, 50)),
    "difference of two arms, 5 a camera": (difference, World(1, 5)),
    "difference of unlike runs, 50 a camera": (unlike, World(1, 50)),
    "difference in recall, 5 incidents": (recall_difference, World(1, 5)),
    "precision, 5 true and false a camera": (precision, World(1, 5)),
}


def coverage(name: str, cameras: int, runs: int, seed: int) -> dict[str, Any]:
    """Share of runs whose 95 % interval holds the truth; one without limits holds nothing."""
    figure, world = INTERVALS[name]
    rng = np.random.default_rng([seed, cameras, list(INTERVALS).index(name)])
    below = above = undefined = 0
    for _ in range(runs):
        interval, true = figure(world, cameras, rng)
        if interval.low is None or interval.high is None:
            undefined += 1
        else:
            below += interval.high < true
            above += interval.low > true
    return {
        "interval": name,
        "cameras": cameras,
        "runs": runs,
        "covered": 1 - (below + above + undefined) / runs,
        "too_low": below / runs,
        "too_high": above / runs,
        "undefined": undefined / runs,
    }


def _thinned(rng: Any, kept: Any, camera: Any, n: int, power: Any) -> Any:
    """How many events of each camera survive each pair of steps: int64 (n, PATHS, STEPS).

    `kept` are the two curves of survival by step; an event of a camera of power p survives step i
    with a chance of kept[i] ** p, nested in i.
    """
    highest = []
    for curve in kept:
        drawn = rng.random(len(camera)) ** (1 / power[camera])
        highest.append(len(curve) - 1 - np.searchsorted(curve[::-1], drawn, "right"))
    a, b = highest
    cells = np.zeros((n, len(kept[0]), len(kept[1])), np.int64)
    alive = (a >= 0) & (b >= 0)
    np.add.at(cells, (camera[alive], a[alive], b[alive]), 1)
    return cells[:, ::-1, ::-1].cumsum(axis=1).cumsum(axis=2)[:, ::-1, ::-1]


LOOSEST = 100.0  # false alerts a camera-day at the lowest thresholds
FALSE_KEPT = (0.5 ** np.arange(PATHS), np.exp(-np.arange(STEPS) / 15))
TRUE_KEPT = (1 - 0.06 * np.arange(PATHS), 1 - (np.arange(STEPS) / STEPS) ** 2)


def simulated(world: World, n: int, rng: Any) -> Surfaces:
    """Counts by camera on a grid: unequal days, false alerts of unequal cameras, incidents."""
    days = exposures(rng, n)
    alerts = rng.poisson(LOOSEST * world.effects(rng, n) * days)
    incidents = rng.poisson(5, n)
    hard = np.maximum(world.effects(rng, n), 1e-6)
    camera = np.arange(n)
    false = _thinned(rng, FALSE_KEPT, np.repeat(camera, alerts), n, np.ones(n))
    found = _thinned(rng, TRUE_KEPT, np.repeat(camera, incidents), n, hard)
    off = np.zeros((n, PATHS, 1), np.int64)
    false, found = (np.concatenate([off, grid], axis=2) for grid in (false, found))
    return Surfaces(
        detector=np.linspace(0.05, 0.95, PATHS).astype(np.float32),
        classifier=np.linspace(0, 0.99, STEPS).astype(np.float32),
        counts={"false_alerts": false, "frame_fp": false, "detected": found, "frame_tp": found},
        totals={"hours_negative": 24 * days, "n_incidents": incidents.astype(float)},
        valid=np.ones((PATHS, STEPS + 1), np.bool_),
    )


def true_alerts(i: int, j: int) -> float:
    """False alerts per camera-day of cameras to come, at a pair of steps."""
    return float(LOOSEST * FALSE_KEPT[0][i] * FALSE_KEPT[1][j])


def true_recall(world: World, i: int, j: int) -> float:
    """Recall on cameras to come: the mean of p ** effect over gamma effects."""
    p = float(TRUE_KEPT[0][i] * TRUE_KEPT[1][j])
    if not world.cv:
        return p
    return float((1 - world.cv**2 * np.log(p)) ** (-1 / world.cv**2))


GOALS = {
    "at most 5 false alerts per camera-day": Goal(5, PER_CAMERA_DAY),
    "recall of at least 0.6": Goal(0.6, RECALL),
}


def broken(
    name: str, cv: float, cameras: int, runs: int, seed: int, *, guarantee: bool = True
) -> dict[str, Any]:
    """Share of runs in which `threshold` would choose on so many cameras and be wrong."""
    goal, terms, world = GOALS[name], Terms(risk=RISK, guarantee=guarantee), World(cv, 1)
    rng = np.random.default_rng([seed, cameras, round(10 * cv), list(GOALS).index(name)])
    wrong = chosen = 0
    for _ in range(runs):
        counts = simulated(world, cameras, rng)
        best = pick(counts, range(cameras), goal, terms, cascade=True, incidents=True).best
        if best is None:
            continue
        chosen += 1
        i, j = best.place[0], best.place[1] - 1
        if goal.is_recall:
            wrong += true_recall(world, i, j) < goal.value
        else:
            wrong += true_alerts(i, j) > goal.value
    return {
        "goal": name,
        "cv": cv,
        "calibration_cameras": cameras,
        "runs": runs,
        "risk": RISK,
        "guarantee": guarantee,
        "chosen": chosen / runs,
        "broken": wrong / runs,
    }


KINDS = ((0.0, True, CAMERAS), (1.0, True, CAMERAS), (1.0, False, (30,)))


def study(runs: int, seed: int) -> dict[str, Any]:
    """Every interval and goal with every number of cameras; promises in half as many runs."""
    return {
        "command": f"python -m forensics.bench.coverage --runs {runs} --seed {seed}",
        "date": datetime.now(UTC).date().isoformat(),
        "coverage": [coverage(name, n, runs, seed) for name in INTERVALS for n in CAMERAS],
        "promises": [
            broken(name, cv, n, runs // 2, seed, guarantee=guarantee)
            for name in GOALS
            for cv, guarantee, numbers in KINDS
            for n in numbers
        ],
    }


def page(figures: dict[str, Any]) -> str:
    """reports/coverage.md."""
    lines = [
        "| nominal 95 % interval | cameras | holds the truth | too low | too high | undefined |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['interval']} | {row['cameras']} | {100 * row['covered']:.1f} % "
        f"| {100 * row['too_low']:.1f} % | {100 * row['too_high']:.1f} % "
        f"| {100 * row['undefined']:.1f} % |"
        for row in figures["coverage"]
    ]
    lines += [
        "",
        "| promise, stated risk 5 % | cameras differ | calibration cameras | chosen | broken |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['goal']}{'' if row['guarantee'] else ', as observed (--no-guarantee)'} "
        f"| {'CV ' + format(row['cv'], 'g') if row['cv'] else 'no'} "
        f"| {row['calibration_cameras']} | {100 * row['chosen']:.1f} % "
        f"| {100 * row['broken']:.1f} % |"
        for row in figures["promises"]
    ]
    return "\n".join([HEAD.format(**figures), *lines, ""])


HEAD = """# Do intervals and promises hold?

Made by `{command} --write`.

Simulated cameras, judged by the suite's own code. Effects of cameras (and of videos within them)
are gamma with CV 1, times of watching log-normal; every run is a new set of cameras, and the truth
is that of the cameras to come. `undefined`: no limits could be given, which counts as not held.
A promise is broken where the chosen thresholds do worse than promised on cameras to come; runs in
which none could be promised are not broken. The choice is that of `forensics threshold`: 5 paths
of 100 classifier thresholds.

Intervals of rates and bootstrap intervals (shares, ratios and differences of arms, all of them
expanded percentiles at the effective number of cameras: `forensics/evaluation/resampled.py`) hold
the truth in nine runs of ten or more, with as few as 8 cameras. What remains is one-sided: with a
few unequal cameras a difference or a small ratio is more often seen too small than too large, and
its interval with it. One case here falls a little short with 8 cameras: two runs whose false alarms
differ by effects of cameras of their own, so that those of one have a CV of 1.2.
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="forensics.bench.coverage", description=__doc__)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--write", action="store_true", help="write reports/coverage.*")
    options = parser.parse_args()
    figures = study(options.runs, options.seed)
    print(page(figures))
    if options.write:
        FIGURES.write_text(json.dumps(figures, indent=1) + "\n")
        PAGE.write_text(page(figures))


if __name__ == "__main__":
    main()
