"""Figures of a prototype, measured before this study, beside what the study finds."""

from __future__ import annotations

import numpy as np

from bench.paper_scalar.claims import SIZE, own_ratio
from bench.paper_scalar.objective import Judge
from bench.paper_scalar.study import Entry, Record
from bench.paper_scalar.tables import markdown, short
from bench.paper_scalar.verdicts import of

FIELDS = ("l1, no refit, own", "l1, own", "kmeans x1", "kmeans x10")
CROSSING = {
    ("normal", 4): (4.70, 1.78, 1.01, 1.00),
    ("normal", 8): (3.32, 1.16, 1.03, 1.00),
    ("normal", 16): (2.77, 1.81, 1.08, 1.02),
    ("normal", 64): (2.82, 1.78, 1.12, 1.08),
    ("normal", 256): (2.56, 1.27, 1.17, 1.11),
    ("normal", 512): (2.64, 1.06, 1.11, 1.05),
    ("uniform", 16): (3.53, 1.93, 1.06, 1.04),
    ("uniform", 128): (2.51, 1.32, 1.16, 1.14),
    ("uniform", 512): (2.74, 1.08, 1.11, 1.08),
    ("laplace", 16): (7.70, 1.45, 1.10, 1.01),
    ("laplace", 128): (2.74, 1.55, 1.14, 1.07),
    ("laplace", 512): (2.43, 1.04, 1.11, 1.02),
}
LAYER = {
    "l1": (1.85, 1.45, 1.54, 1.26),
    "adaptive-l1": (1.17, 1.31, 1.17, 1.10),
    "kmeans": (1.02, 1.09, 1.10, 1.17),
    "mixture": (1.06, 1.16, 1.14, 12.8),
    "transform": (1.01, 1.21, 4.55, 3.55),
    "uniform": (1.43, 1.41, 1.76, 5.55),
}
LAYER_COUNTS = (4, 16, 64, 256)


def draws(data: str, n_values: int, number: int = 20) -> tuple[float, float]:
    """Return the range of refitted l1's quotient over other draws of the same distribution."""
    entry, found = Entry("l1", "l1", {}), []
    for seed in range(number):
        rng = np.random.default_rng([1, seed])
        sets = {"normal": rng.standard_normal, "uniform": rng.uniform, "laplace": rng.laplace}
        x = sets[data](size=SIZE)
        found.append(own_ratio(Judge(x), n_values, entry))
    return min(found), max(found)


def comparison(records: list[Record]) -> str:
    """Write both, the earlier figure first in each cell."""
    crossing = of(records, claim="crossover")
    rows, apart = [], []
    for (data, n_values), before in CROSSING.items():
        now = of(crossing, data=data, n_values=n_values)
        if now:
            pairs = [(old, now[0][field]) for old, field in zip(before, FIELDS, strict=True)]
            apart += [new / old for old, new in pairs]
            low, high = draws(data, n_values)
            cells = [f"{old:g} / {short(new)}" for old, new in pairs]
            rows.append([f"{data}, {n_values}", *cells, f"{short(low)} - {short(high)}"])
    first = markdown(("640 values, k", *FIELDS, "l1, own, on 20 other draws"), rows)
    layer = of(records, claim="small_layer")
    body = []
    for method, before in LAYER.items():
        now = [of(layer, method=method, n_values=k) for k in LAYER_COUNTS]
        cells = [f"{old:g} / {short(n[0]['ratio'])}" for old, n in zip(before, now, strict=True)]
        body.append([method, *cells])
    second = markdown(("layer of 640 weights", *(str(k) for k in LAYER_COUNTS)), body)
    spread = f"{min(apart):.2f} to {max(apart):.2f}" if apart else "nothing"
    middle = float(np.median(apart)) if apart else float("nan")
    return (
        "Each cell: prototype / this study. The prototype decoded l1 by its own partition; here "
        "(`own`) so does this table, while all others give each datum the nearest value, which is "
        "what a decoder does and never worse. The mixture of solvq has a floor of variance "
        "relative to the range; with scikit-learn's absolute one, 256 components blur. The draws "
        "differ (another seed, another trained "
        f"layer), so only the size should agree; the quotients in the first table go from {spread} "
        f"(median {middle:.2f}).\n\n{first}\n\n{second}\n"
    )
