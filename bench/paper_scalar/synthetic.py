"""Part 3: synthetic data: loss on a few hundred values, time and memory up to a million."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bench.paper_scalar.fits import Fit, TooSlow, fit_all
from bench.paper_scalar.objective import Judge
from bench.paper_scalar.study import COUNTS, Array, Record, Study, entries

SIZES = (100, 1000, 10_000, 100_000, 1_000_000)
QUICK_SIZES = (100, 1000)
N_VALUES = 16
SMALL = 500
LEAST_FITTED = 10_000
"""Exponents are fitted to sizes from here on; below, calls cost more than data."""


def mixture(size: int, rng: np.random.Generator) -> Array:
    """Draw from five normal distributions in [0, 100], unequal in place, width and share."""
    centres, widths = np.array([10, 25, 45, 70, 90]), np.array([2, 5, 3, 8, 1.5])
    part = rng.choice(5, size, p=[0.3, 0.2, 0.1, 0.25, 0.15])
    return rng.normal(centres[part], widths[part])


DISTRIBUTIONS: dict[str, Callable[[int, np.random.Generator], Array]] = {
    "mixture of Gaussians": mixture,
    "uniform": lambda size, rng: rng.uniform(0, 100, size),
    "normal": lambda size, rng: rng.normal(50, 15, size),
    "laplace": lambda size, rng: rng.laplace(50, 10, size),
    "integer grid": lambda size, rng: rng.integers(0, 256, size).astype(np.float64),
}


def draw(study: Study, name: str, size: int) -> Array:
    """Return the data of a distribution, the same for the same seed."""
    rng = np.random.default_rng([study.seed, size, list(DISTRIBUTIONS).index(name)])
    return DISTRIBUTIONS[name](size, rng)


def run(study: Study) -> Record:
    """Measure loss at every count on small data, then time, memory and loss as data grow."""
    records = []
    for name in DISTRIBUTIONS:
        records += losses(study, name)
        study.say(f"synthetic: {name}, {SMALL} values")
    slow = TooSlow()
    sizes = QUICK_SIZES if study.quick else SIZES if study.full else SIZES[:-1]
    if not study.full:
        study.note(f"sizes above {sizes[-1]} were left out: part of the full study")
    for size in sizes:
        for name in DISTRIBUTIONS:
            records += growth(study, name, size, slow)
            study.say(f"synthetic: {name}, {size} values")
    return {"records": records, "exponents": exponents(records)}


def losses(study: Study, name: str) -> list[Record]:
    """Judge every method at every count on a few hundred values."""
    x = draw(study, name, SMALL)
    judge, records = Judge(x), []
    for n_values in study.counts(COUNTS):
        if n_values >= judge.distinct:
            continue
        for entry in entries():
            fit = fit_all(study, [(x, None)], n_values, entry)
            record: Record = {"kind": "loss", "data": name, "size": SMALL, "method": entry.name}
            record |= {"n_values": n_values, "status": fit.status}
            if fit.ok:
                record |= judge.score(fit.codebooks[0], fit.indices[0], n_values)
            records.append(record)
    return records


def growth(study: Study, name: str, size: int, slow: TooSlow) -> list[Record]:
    """Measure CPU seconds and extra memory of every method at 16 values."""
    x = draw(study, name, size)
    judge, records = Judge(x), []
    for entry in entries(shrunk=False):
        if slow.skips(entry.name, name, size=size):
            fit = Fit("timeout on fewer data")
        else:
            fit = fit_all(study, [(x, None)], N_VALUES, entry)
        record: Record = {"kind": "growth", "data": name, "size": size, "method": entry.name}
        record |= {"n_values": N_VALUES, "status": fit.status}
        if fit.ok:
            record |= judge.score(fit.codebooks[0], fit.indices[0], N_VALUES)
            record |= {"seconds": fit.seconds[0], "extra_bytes": fit.extra_bytes}
        else:
            slow.add(entry.name, name, size=size)
        records.append(record)
    return records


def exponents(records: list[Record]) -> dict[str, dict[str, float]]:
    """Fit ``seconds = c n^p`` by least squares in logarithms; p by distribution and method."""
    fitted: dict[str, dict[str, float]] = {}
    timed = [r for r in records if r["kind"] == "growth" and r["status"] == "ok"]
    for name in DISTRIBUTIONS:
        for method in dict.fromkeys(r["method"] for r in timed):
            points = [
                (r["size"], r["seconds"])
                for r in timed
                if r["data"] == name and r["method"] == method and r["size"] >= LEAST_FITTED
            ]
            if len(points) > 1:
                slope = np.polyfit(*np.log(np.array(points).T), 1)[0]
                fitted.setdefault(name, {})[method] = float(slope)
    return fitted
