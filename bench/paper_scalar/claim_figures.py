"""One figure a claim, from the records of `claims` alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bench.paper_scalar.figures import curves, over_optimum
from bench.paper_scalar.study import Record
from bench.paper_scalar.style import MAIN, canvas, colour, count_ticks, draw, finish, plain_ticks

CROSSING = ("kmeans x1", "kmeans x10", "lloyd-max", "l1", "l1, no refit", "adaptive-l1")


def datasets(records: list[Record]) -> list[str]:
    """Return the names of the data in order."""
    return list(dict.fromkeys(r["data"] for r in records if "data" in r))


def seeds(records: list[Record], path: Path) -> str:
    """Draw every seed's error as a dot."""
    names = datasets(records)
    figure, axes = canvas(len(names))
    rng = np.random.default_rng(0)
    counts = sorted({r["n_values"] for r in records})
    for panel, name in zip(axes[0], names, strict=True):
        for r in records:
            if r["data"] != name:
                continue
            shift = ("kmeans", "cluster-ls", "mixture").index(r["method"]) - 1
            x = (
                counts.index(r["n_values"])
                + 0.25 * shift
                + rng.uniform(-0.07, 0.07, len(r["ratios"]))
            )
            label = r["method"] if r["n_values"] == counts[0] else None
            kept = np.minimum(r["ratios"], 20)
            panel.scatter(x, kept, s=5, alpha=0.5, color=colour(r["method"]), label=label)
        panel.axhline(
            1, color=colour("optimal"), linewidth=1.5, label="optimal, adaptive-l1 ...: no seed"
        )
        panel.set_xticks(range(len(counts)), [str(count) for count in counts])
        panel.set(title=name, xlabel="values", yscale="log")
        plain_ticks(panel, (1, 1.1, 1.2, 1.5, 2, 3, 5, 10, 20))
    axes[0, 0].set_ylabel(f"error / optimum, {len(records[0]['ratios'])} seeds")
    return finish(figure, axes, path)


def misplaced(records: list[Record], path: Path) -> str:
    """Draw the shares of empty cells and of values outside the range."""
    methods = list(dict.fromkeys(r["method"] for r in records))
    figure, axes = canvas(2, size=(4.6, 3.8))
    for panel, field, title in (
        (axes[0, 0], "empty", "no datum is nearest, or missing"),
        (axes[0, 1], "outside", "outside the range of the data"),
    ):
        shares = [100 * np.mean([r[field] for r in records if r["method"] == m]) for m in methods]
        bars = panel.barh(methods, shares, color=[colour(m) for m in methods])
        panel.bar_label(bars, [f"{share:.2g}" if share else "0" for share in shares], fontsize=7)
        panel.invert_yaxis()
        panel.set(title=title, xlabel="% of the values asked for")
        panel.margins(x=0.12)
    axes[0, 1].set_yticklabels([])
    return finish(figure, axes, path)


def cost(records: list[Record], path: Path) -> str:
    """Draw time against the number of values."""
    figure, axes = canvas(1, size=(6.0, 3.6))
    methods = (*MAIN, "l1-l2", "l0", "cluster-ls")
    draw(axes[0, 0], curves(records, "seconds", methods=methods), yscale="log", xlabel="values")
    count_ticks(axes[0, 0], sorted({r["n_values"] for r in records}))
    axes[0, 0].set(ylabel="CPU seconds", title=f"{records[0]['size']:,} normal values")
    return finish(figure, axes, path)


def crossover(records: list[Record], path: Path) -> str:
    """Draw l1 and k-means over the share of values kept."""
    names = datasets(records)
    figure, axes = canvas(len(names))
    for panel, name in zip(axes[0], names, strict=True):
        rows = [r for r in records if r["data"] == name]
        found = {m: [(r["share"], r[m]) for r in rows] for m in CROSSING}
        draw(
            panel,
            found,
            title=f"{name}, 640 values",
            xlabel="values kept / distinct values",
            yscale="log",
        )
        panel.set_ylim(0.98, 8)
        plain_ticks(panel, (1, 1.2, 1.5, 2, 3, 5, 8))
    axes[0, 0].set_ylabel("squared error / exact optimum")
    return finish(figure, axes, path)


def cluster_ls(records: list[Record], path: Path) -> str:
    """Draw the quotients of cluster-LS and k-means from the same seeds."""
    settings = list(dict.fromkeys(r["setting"] for r in records))
    figure, axes = canvas(1, size=(7.0, 3.2))
    panel = axes[0, 0]
    groups = [
        np.concatenate([r["quotients"] for r in records if r["setting"] == s]) for s in settings
    ]
    rng = np.random.default_rng(0)
    for i, group in enumerate(groups):
        panel.scatter(
            group,
            i + rng.uniform(-0.25, 0.25, group.size),
            s=4,
            alpha=0.3,
            color=colour("cluster-ls"),
        )
    panel.set_yticks(range(len(settings)), settings)
    panel.axvline(1, color="#999999", linewidth=0.8)
    panel.set(
        xlabel="error of cluster-LS / error of k-means, same seed (left: cluster-LS is better)"
    )
    return finish(figure, axes, path)


def local_search(records: list[Record], path: Path) -> str:
    """Draw which counts the local search reaches, and its error."""
    figure, axes = canvas(1, size=(7.0, 3.2))
    for seed in sorted({r["seed"] for r in records}):
        rows = [r for r in records if r["seed"] == seed]
        axes[0, 0].scatter(
            [r["count"] for r in rows],
            [r["most"] for r in rows],
            s=9,
            label=f"draw {seed}: {len(rows)} of {rows[0]['size']} counts reached",
        )
    axes[0, 0].axhline(1, color=colour("optimal"), label="exact l0: every count")
    axes[0, 0].set(xlabel="values left", ylabel="error / optimum", yscale="log")
    axes[0, 0].set_xlim(0, records[0]["size"])
    plain_ticks(axes[0, 0], (1, 1.2, 1.5, 2, 3, 5, 10, 20, 50))
    return finish(figure, axes, path, columns=2)


def even_spacing(records: list[Record], path: Path) -> str:
    """Draw the errors on the grid 0 ... 255."""
    figure, axes = canvas(1, size=(6.0, 3.6))
    over_optimum(axes[0, 0], records, "256 evenly spaced values")
    axes[0, 0].set_ylabel("squared error / exact optimum")
    return finish(figure, axes, path)


def squares(records: list[Record], path: Path) -> str:
    """Draw how many values l1 + l2 and l1 - l2 leave at the penalty of l1."""
    rows = [r for r in records if r["kind"] == "penalty"]
    figure, axes = canvas(1, size=(7.0, 2.6))
    names = [
        f"+ {2 * r['ridge']:g}"
        if r.get("ridge")
        else f"- {r['beta']:g} limit"
        if r["beta"]
        else "l1"
        for r in rows
    ]
    tints = [
        "#3aa6a0" if r.get("ridge") else "#6c5bb5" if r["beta"] else colour("l1") for r in rows
    ]
    bars = axes[0, 0].bar(names, [r["count"] for r in rows], color=tints)
    axes[0, 0].bar_label(bars, fontsize=8)
    axes[0, 0].tick_params(axis="x", labelsize=6.5)
    axes[0, 0].set(
        ylabel="values left of 100", title="squares added to or taken from l1, one penalty"
    )
    return finish(figure, axes, path)


def schedule(records: list[Record], path: Path) -> str:
    """Draw the counts that the raised penalty reaches."""
    names = datasets(records)
    figure, axes = canvas(len(names), size=(2.6, 2.6))
    for panel, name in zip(axes[0], names, strict=True):
        for growth, tint in ((1.05, "#beb4e6"), (1.2, "#6c5bb5"), (2.0, "#2d2060")):
            rows = sorted(
                (r["n_values"], r["count"] / r["n_values"])
                for r in records
                if r["data"] == name and r["growth"] == growth
            )
            panel.plot(
                *zip(*rows, strict=True),
                marker=".",
                color=tint,
                label=f"penalty x {growth:g} a step",
            )
        panel.axhline(1, color=colour("l1"), linewidth=1, label="l1 along its path")
        panel.set(title=name, xlabel="values wanted", xscale="log", ylim=(0, 1.05))
        panel.set_xticks([10, 20, 50, 100, 200], ["10", "20", "50", "100", "200"])
        panel.minorticks_off()
    axes[0, 0].set_ylabel("values found / wanted")
    return finish(figure, axes, path)


def small_layer(records: list[Record], path: Path) -> str:
    """Draw every method's error on the small layer."""
    figure, axes = canvas(1, size=(6.0, 3.6))
    over_optimum(axes[0, 0], records, "a layer of 640 trained weights")
    axes[0, 0].set_ylabel("squared error / exact optimum")
    return finish(figure, axes, path)


FIGURES: dict[str, Any] = {
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
        small_layer,
    )
}
