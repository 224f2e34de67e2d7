"""One sentence a claim, with its numbers and its verdict computed from the records."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from bench.paper_scalar.study import Record


class Verdict(NamedTuple):
    """A claim, what became of it, and why."""

    claim: str
    verdict: str
    sentence: str


def of(records: Iterable[Record], **wanted: Any) -> list[Record]:
    """Return the records with the given fields."""
    return [r for r in records if all(r.get(key) == value for key, value in wanted.items())]


def seeds(records: list[Record]) -> Verdict:
    """Judge the dependence on the seed."""
    spread = {}
    for method in ("kmeans", "mixture"):
        found = [r["ratios"] for r in of(records, method=method)]
        spread[method] = max(max(r) / min(r) for r in found)
    wild = max(of(records, method="kmeans"), key=lambda r: max(r["ratios"]) / min(r["ratios"]))
    best = min(min(r["ratios"]) for r in records if r["n_values"] >= 64 and r["method"] == "kmeans")
    return Verdict(
        "Clustering depends on the seed.",
        "confirmed" if spread["kmeans"] > 1.05 else "refuted",
        f"Over {len(wild['ratios'])} seeds the worst run of k-means has up to "
        f"{spread['kmeans']:.2f} times the error of its best ({wild['data']}, "
        f"{wild['n_values']} values), the mixture {spread['mixture']:.2f} times; from 64 values on "
        f"no seed of k-means comes nearer to the optimum than {best:.3f} times.",
    )


def misplaced(records: list[Record]) -> Verdict:
    """Judge empty and out-of-range clusters."""

    def share(field: str, method: str) -> float:
        return 100 * float(np.mean([r[field] for r in of(records, method=method)]))

    empty, kept = share("empty", "textbook k-means"), share("empty", "kmeans")
    short = {m: share("empty", m) for m in ("transform", "mixture", "iterative-l1")}
    outside = max(
        share("outside", m) for m in ("kmeans", "cluster-ls", "mixture", "textbook k-means")
    )
    anchored = max(r["outside"] for r in of(records, method="l1, anchored"))
    return Verdict(
        "Clustering gives empty and out-of-range clusters.",
        "refined" if empty > 1 and kept < 0.5 and outside == 0 else "confirmed",
        f"Plain Lloyd from random values leaves {empty:.1f} % of its clusters empty, "
        f"scikit-learn's k-means {kept:.2g} %, the mixture {short['mixture']:.2g} %, the iterative "
        f"l1 falls short by {short['iterative-l1']:.2g} %. No clustering puts more than "
        f"{outside:.2g} % of its values outside the data; the anchored l1 of the paper, without "
        f"refit, puts up to {100 * anchored:.2g} % there.",
    )


def slope(records: list[Record], method: str, least: int = 16) -> float:
    """Return the exponent of time against the number of values: the median of all slopes.

    So that one point with a kernel loaded on the clock does not decide.
    """
    points = [(r["n_values"], r["seconds"]) for r in of(records, method=method, status="ok")]
    kept = np.array([p for p in points if p[0] >= least] or points, dtype=float)
    slopes = [np.log(b[1] / a[1]) / np.log(b[0] / a[0]) for a, b in combinations(kept, 2)]
    return float(np.median(slopes)) if slopes else float("nan")


def cost(records: list[Record]) -> Verdict:
    """Judge the cost against the number of clusters."""
    power = {m: slope(records, m) for m in ("kmeans", "mixture", "l1", "optimal", "lloyd-max")}
    slower = power["kmeans"] > 0.4 > power["l1"]
    stops = max((r["n_values"] for r in of(records, method="mixture", status="ok")), default=0)
    return Verdict(
        "Clustering slows down with many clusters.",
        ("refined" if power["lloyd-max"] < 0.4 else "confirmed") if slower else "refuted",
        f"From 16 values on the time of k-means grows as k^{power['kmeans']:.2f}, of the mixture "
        f"as k^{power['mixture']:.2f} (up to {stops} values within the limit), of l1 as "
        f"k^{power['l1']:.2f}. The exact optimum (k^{power['optimal']:.2f}) and "
        f"Lloyd on sorted data (k^{power['lloyd-max']:.2f}) are clustering, too.",
    )


def crossings(records: list[Record], rival: str) -> dict[str, float | None]:
    """Return for each data set the least share from which on refitted l1 beats a rival."""
    found: dict[str, float | None] = {}
    for name in dict.fromkeys(r["data"] for r in records):
        rows = sorted(of(records, data=name), key=lambda r: r["share"])
        losing = [i for i, r in enumerate(rows) if r["l1"] > r[rival]]
        first = losing[-1] + 1 if losing else 0
        found[name] = rows[first]["share"] if first < len(rows) else None
    return found


def crossover(records: list[Record]) -> Verdict:
    """Judge where refitted l1 beats k-means."""
    one, ten = crossings(records, "kmeans x1"), crossings(records, "kmeans x10")
    optimum = min(min(r["l1"] for r in of(records, data=name)) for name in one)

    def words(found: dict[str, float | None]) -> str:
        return ", ".join(
            f"{name} {'never' if share is None else f'{share:.2f}'}"
            for name, share in found.items()
        )

    wins = any(share is not None for share in one.values())
    return Verdict(
        "l1 is better when the wanted count is not much below the original.",
        "confirmed" if wins else "refuted",
        f"Refitted l1 beats one run of k-means from these k/m on: {words(one)}; the best of ten "
        f"runs: {words(ten)}. The exact optimum is never beaten (closest l1: {optimum:.3f} times).",
    )


def cluster_ls(records: list[Record]) -> Verdict:
    """Judge cluster-LS against k-means."""

    def quotients(setting: str, **wanted: Any) -> Any:
        return np.concatenate([r["quotients"] for r in of(records, setting=setting, **wanted)])

    done, default, early, blind = (
        100 * (quotients(s) - 1)
        for s in ("converged", "default", "stopped after 3 steps", "unweighted")
    )
    return Verdict(
        "The clustering-based method is an improved k-means.",
        "refined" if abs(done.mean()) < 0.1 and early.mean() < 0 else "confirmed",
        f"It is one more centroid step. Against the k-means of the same seed its error changes on "
        f"average by {done.mean():+.2g} % where k-means has converged (largest change "
        f"{done[np.abs(done).argmax()]:+.2g} %, where data tie), {default.mean():+.2g} % at "
        f"scikit-learn's tolerance, {early.mean():+.2g} % after 3 steps, {blind.mean():+.2g} % "
        f"without counts (between {blind.min():+.2g} % and {blind.max():+.2g} %).",
    )


def squares(records: list[Record]) -> Verdict:
    """Judge l1 + l2 and l1 - l2."""
    rows = of(records, kind="penalty")
    plus = [f"{r['count']} at {2 * r['ridge']:g}" for r in rows if r.get("ridge")]
    minus = [f"{r['count']} at {r['beta']:g}" for r in rows if r["beta"]]
    plain = next(r["count"] for r in rows if not r["beta"] and not r.get("ridge"))
    same = of(records, kind="count", form="l1 - l2")
    moved = max(abs(r["ratio"] / r["l1"] - 1) for r in same)
    return Verdict(
        "l1 + l2 and l1 - l2 change the sparsity.",
        "refined",
        f"Where l1 leaves {plain} of 100 values, adding squares leaves more ({', '.join(plus)}); "
        f"taking them away, as shares of what convexity allows, {', '.join(minus)}. At a wanted "
        f"count l1 - l2 differs from l1 by at most {100 * moved:.2g} % in error.",
    )


def schedule(records: list[Record]) -> Verdict:
    """Judge the iterative method's counts."""
    rows = of(records, growth=1.2)
    met = float(np.mean([r["count"] == r["n_values"] for r in rows]))
    text = "/".join(str(r["count"]) for r in of(rows, data="normal"))
    worst = min(r["count"] / r["n_values"] for r in records)
    return Verdict(
        "The iterative method gives a wanted count.",
        "refined" if met < 1 else "confirmed",
        f"Raising the penalty by 1.2 a step meets the count in {100 * met:.0f} % of the cases "
        f"(normal data, 200/100/50/20/10 wanted: {text}); with other steps as little as "
        f"{100 * worst:.0f} % of it is left. The path of l1 meets every count.",
    )


def local_search(records: list[Record]) -> Verdict:
    """Judge the local-search l0."""
    draws = [of(records, seed=seed) for seed in sorted({r["seed"] for r in records})]
    reached = "/".join(str(len(rows)) for rows in draws)
    ratios = [r["most"] for r in records if r["count"] > 1]
    return Verdict(
        "Local-search l0 is unstable.",
        "confirmed" if max(ratios) > 1.5 else "refuted",
        f"On {records[0]['size']} values {records[0]['penalties']} penalties reach {reached} of "
        f"{records[0]['size']} counts (one draw each), at {min(ratios):.2f} to {max(ratios):.1f} "
        f"times the optimum, median {np.median(ratios):.2f}. The exact l0 meets every count.",
    )


def even_spacing(records: list[Record]) -> Verdict:
    """Judge the failure on evenly spaced values."""
    at = {r["method"]: r["ratio"] for r in of(records, n_values=16)}
    own = of(records, n_values=16, method="l1")[0]["own"]
    repaired = [r["ratio"] for r in of(records, method="adaptive-l1")]
    return Verdict(
        "(ours) l1 fails on evenly spaced values, adaptive l1 repairs it.",
        "confirmed" if at["l1"] > 10 and max(repaired) < 1.5 else "refuted",
        f"On 256 evenly spaced values at 16 values refitted l1 has {at['l1']:.0f} times the error "
        f"of the optimum (its own partition {own:.0f}), "
        f"the iterative method {at['iterative-l1']:.0f}, adaptive l1 {at['adaptive-l1']:.2f} "
        f"({min(repaired):.2f} to {max(repaired):.2f} from 4 to 128 values), k-means "
        f"{at['kmeans']:.2f}.",
    )


CLAIMS: dict[str, Callable[[list[Record]], Verdict]] = {
    f.__name__: f
    for f in (
        seeds,
        misplaced,
        cost,
        crossover,
        cluster_ls,
        squares,
        schedule,
        local_search,
        even_spacing,
    )
}
