"""What a practitioner should use: a table whose evidence is computed from the results."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.paper_scalar.study import Record
from bench.paper_scalar.tables import markdown
from bench.paper_scalar.verdicts import crossings, of

Found = dict[str, Record]
Row = tuple[str, str, str]


def decision(found: Found) -> str:
    """Write the decision table; rows whose part has not run are left out."""
    rows: list[Row] = []
    for part, makers in {
        "weights": (usual, two_values, importance, cheap),
        "images": (pictures,),
        "claims": (grids, nearly_all, one_by_one),
        "synthetic": (avoid,),
    }.items():
        if part in found:
            rows += [row for make in makers if (row := make(found[part])) is not None]
    return markdown(("you have", "use", "since"), rows)


def whole(data: Record, **wanted: Any) -> list[Record]:
    """Return the finished records of whole networks."""
    return of(data["records"], layer="all", status="ok", **({"weighting": "counts"} | wanted))


def usual(data: Record) -> Row:
    """Weights, 3 values and more."""
    rivals = {}
    for method in ("kmeans", "adaptive-l1", "l1", "uniform"):
        ratios = [r["ratio"] for r in whole(data, method=method) if r["n_values"] > 2]
        rivals[method] = f"{method} {min(ratios):.2f}-{max(ratios):.2f}"
    return (
        "weights or other numbers, 3 values and more",
        "`optimal`",
        "error over the optimum, all networks: " + ", ".join(rivals.values()),
    )


def gain(about: Record, record: Record) -> float:
    """Return a quality that is better the larger it is."""
    return float(record["quality"]) * (1 if about["higher_is_better"] else -1)


def two_values(data: Record) -> Row:
    """Two values a tensor, where the least error need not be the best quality."""
    parts = []
    for about in data["networks"]:
        rows = whole(data, network=about["network"], n_values=2)
        if rows:
            best = max(rows, key=lambda r: gain(about, r))
            ours = next(r for r in rows if r["method"] == "optimal")
            parts.append(
                f"{about['network']} {ours['quality']:.2f} (best {best['quality']:.2f}, "
                f"{best['method']})"
            )
    return (
        "weights, 2 values a tensor",
        "more values, or train further; try several methods on the task",
        "quality of the least error: " + "; ".join(parts),
    )


def importance(data: Record) -> Row | None:
    """Weights with a gradient at hand."""
    parts = []
    for about in data["networks"]:
        name = about["network"]
        for n_values in (2, 4, 8):
            pair = [
                whole(data, network=name, method="optimal", n_values=n_values, weighting=w)
                for w in ("counts", "fisher")
            ]
            if all(pair):
                before, after = (rows[0]["quality"] for rows in pair)
                parts.append(f"{name} at {n_values}: {before:.3f} to {after:.3f}")
    if not parts:
        return None
    return (
        "weights, and training data",
        "`optimal`; the Fisher diagonal as `sample_weight` only after a test on the task",
        "quality with plain and Fisher weights: " + "; ".join(parts),
    )


def cheap(data: Record) -> Row:
    """No proof needed, least time."""
    rows = [r for r in whole(data, method="lloyd-max") if r["n_values"] > 2]
    pairs = [
        (r["seconds"], whole(data, network=r["network"], method="optimal", n_values=r["n_values"]))
        for r in rows
    ]
    quotient = float(np.median([mine / other[0]["seconds"] for mine, other in pairs if other]))
    worst = max(r["worst_ratio"] for r in rows)
    return (
        "no need for a proof",
        "`optimal` all the same; `lloyd-max` where a local optimum will do",
        (
            f"`lloyd-max` takes {quotient:.2f} times the time of `optimal`, at up to {worst:.2f} "
            "times its error on a tensor"
        ),
    )


def pictures(data: Record) -> Row:
    """Pictures of few grey levels."""

    def typical(method: str, weighting: str) -> float:
        rows = of(data["records"], kind="loss", method=method, weighting=weighting, status="ok")
        kept = [r["ratio"] for r in rows if r["n_values"] in (4, 8, 16)]
        return float(np.exp(np.mean(np.log(kept))))

    return (
        "pictures, histograms: many copies",
        "`optimal` with counts (the default); never `unweighted`",
        (
            "4 to 16 values, error over the optimum: `optimal` told to ignore counts "
            f"{typical('optimal', 'unweighted'):.2f}, refitted `l1` without counts "
            f"{typical('l1', 'unweighted'):.1f}, with counts {typical('l1', 'counts'):.1f}"
        ),
    )


def grids(data: Record) -> Row:
    """Evenly spaced data."""
    rows = of(data["records"], claim="even_spacing", n_values=16)
    at = {r["method"]: r["ratio"] for r in rows}
    return (
        "evenly spaced data (8 bits, already quantized)",
        "`optimal`; of the l1 methods only `adaptive-l1`",
        f"256 of them at 16 values: `l1` {at['l1']:.0f}, `adaptive-l1` {at['adaptive-l1']:.2f}",
    )


def nearly_all(data: Record) -> Row:
    """Almost as many values as data."""
    shares = crossings(of(data["records"], claim="crossover"), "kmeans x1").values()
    known = [share for share in shares if share is not None]
    text = f"from k/m = {min(known):.2f} to {max(known):.2f} on" if known else "nowhere"
    return (
        "nearly as many values as data",
        "`optimal`; `l1` rather than k-means",
        f"refitted `l1` beats a run of k-means {text}; it never beats the optimum",
    )


def one_by_one(data: Record) -> Row:
    """A nested sequence of codebooks."""
    rows = of(data["records"], claim="small_layer")
    found = [(r["n_values"], r["ratio"]) for r in rows if r["method"] == "adaptive-l1"]
    text = ", ".join(f"{ratio:.2f} at {k}" for k, ratio in found)
    return (
        "nested codebooks, each count from the one before",
        "`adaptive-l1`; `l1` for its closed path and coefficients",
        f"`adaptive-l1` on a layer of 640 weights: {text} values",
    )


def avoid(data: Record) -> Row:
    """What is slow, far off, or both."""
    rows = of(data["records"], kind="loss", status="ok")
    parts = []
    for method in ("l1, no refit", "uniform", "quantile", "mixture"):
        kept = [r["ratio"] for r in rows if r["method"] == method and r["n_values"] in (16, 64)]
        if kept:
            parts.append(f"{method} {np.exp(np.mean(np.log(kept))):.1f}")
    return (
        "a choice to make",
        "not these",
        "error over the optimum, synthetic data, 16 and 64 values: " + ", ".join(parts),
    )
