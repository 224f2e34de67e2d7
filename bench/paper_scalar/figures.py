"""Figures of the parts on weights, pictures and synthetic data, from their records alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.paper_scalar.study import Record
from bench.paper_scalar.style import MAIN, canvas, colour, count_ticks, draw, finish, plain_ticks

Maker = Callable[[Record, Path], str]
RATIOS = (1, 1.5, 2, 3, 5, 10, 20, 50, 100, 1000)
TOP = 100.0
"""Quotients above this are drawn at the edge: they are out of the question."""


def curves(
    records: list[Record], y: str, x: str = "n_values", methods: tuple[str, ...] = MAIN
) -> Any:
    """Return the points of each method; several records at one place give a geometric mean."""
    points: dict[str, dict[float, list[float]]] = {m: defaultdict(list) for m in methods}
    for r in records:
        if r.get("status", "ok") == "ok" and r["method"] in points and r.get(y) is not None:
            points[r["method"]][r[x]].append(r[y])
    return {
        method: [
            (place, float(np.exp(np.mean(np.log(np.maximum(v, 1e-12))))))
            for place, v in found.items()
        ]
        for method, found in points.items()
    }


def over_optimum(axes: Any, records: list[Record], title: str) -> None:
    """Draw the error over the optimum against the number of values."""
    found = curves(records, "ratio")
    shown = {m: [(k, min(r, TOP)) for k, r in points] for m, points in found.items()}
    draw(axes, shown, title=title, xlabel="values", yscale="log")
    axes.set_ylim(0.95, min(TOP, max([3.0, *(r for p in shown.values() for _, r in p)])) * 1.1)
    count_ticks(axes, sorted({r["n_values"] for r in records}))
    plain_ticks(axes, RATIOS)


def weights_error(data: Record, folder: Path) -> str:
    """Draw the error of the layers of the first network."""
    first = data["networks"][0]
    figure, axes = canvas(len(first["tensors"]))
    for panel, (layer, (size, _)) in zip(axes[0], first["tensors"].items(), strict=True):
        records = [r for r in of(data, first["network"], "counts") if r["layer"] == layer]
        over_optimum(panel, records, f"{layer}, {size:,} weights")
    axes[0, 0].set_ylabel("squared error / exact optimum")
    return finish(figure, axes, folder / "weights-error.svg")


def of(data: Record, network: str, weighting: str) -> list[Record]:
    """Return the records of a network under a weighting."""
    return [r for r in data["records"] if r["network"] == network and r["weighting"] == weighting]


def weights_quality(data: Record, folder: Path) -> str:
    """Draw the quality of every network's task with all its tensors quantized."""
    figure, axes = canvas(len(data["networks"]))
    for panel, about in zip(axes[0], data["networks"], strict=True):
        records = [r for r in of(data, about["network"], "counts") if r["layer"] == "all"]
        title = f"{about['network']}, {about['n_weights']:,} weights"
        draw(panel, curves(records, "quality"), title=title, xlabel="values a tensor")
        panel.axhline(about["quality"], color="#999999", linewidth=0.8, linestyle="--")
        count_ticks(panel, sorted({r["n_values"] for r in records}))
        panel.set_ylabel(about["task"].split(" (")[0], fontsize=6.5)
        panel.set_title(title, fontsize=8.5)
    return finish(figure, axes, folder / "weights-quality.svg")


def weights_fisher(data: Record, folder: Path) -> str:
    """Draw the quality with plain and with Fisher weights, for methods that take them."""
    names = [a for a in data["networks"] if of(data, a["network"], "fisher")]
    figure, axes = canvas(len(names), size=(4.2, 3.0))
    for panel, about in zip(axes[0], names, strict=True):
        for weighting, line in (("counts", "--"), ("fisher", "-")):
            records = [r for r in of(data, about["network"], weighting) if r["layer"] == "all"]
            found = curves(records, "quality", methods=("optimal", "kmeans", "adaptive-l1"))
            for method, points in found.items():
                kept = sorted(p for p in points if p[0] <= 16)
                label = f"{method}, {'Fisher' if weighting == 'fisher' else 'plain'} weights"
                panel.plot(
                    *zip(*kept, strict=True),
                    color=colour(method),
                    linestyle=line,
                    marker=".",
                    label=label,
                )
        panel.axhline(about["quality"], color="#999999", linewidth=0.8)
        panel.set_title(about["network"])
        panel.set(xlabel="values a tensor", ylabel=about["task"].split(" (")[0])
        panel.grid(alpha=0.25)
        count_ticks(panel, [2, 3, 4, 8, 16])
    return finish(figure, axes, folder / "weights-fisher.svg", columns=3)


def weights_coefficients(data: Record, folder: Path) -> str:
    """Draw histograms of the nonzero coefficients on the first layer."""
    first = data["networks"][0]
    layer = next(iter(first["tensors"]))
    figure, axes = canvas(3)
    edges = np.linspace(-2, 8, 41)
    for panel, n_values in zip(axes[0], (16, 64, 256), strict=True):
        for r in of(data, first["network"], "counts"):
            known = r["layer"] == layer and r["n_values"] == n_values and "steps" in r
            if known and r["method"] in ("optimal", "kmeans", "l1", "l1, no refit", "uniform"):
                panel.stairs(
                    np.array(r["steps"]["histogram"]) / max(1, sum(r["steps"]["histogram"])),
                    edges,
                    color=colour(r["method"]),
                    label=r["method"],
                    linewidth=1.5,
                )
        panel.set(title=f"{layer}, {n_values} values", xlabel="log10 of a nonzero coefficient")
        panel.set_xlim(0, 8)
    axes[0, 0].set_ylabel("share of the nonzero coefficients")
    return finish(figure, axes, folder / "weights-coefficients.svg")


def images_loss(data: Record, folder: Path) -> str:
    """Draw the error on pictures, with and without counts."""
    names = list(dict.fromkeys(r["set"] for r in data["records"]))
    figure, axes = canvas(2, len(names))
    for row, name in zip(axes, names, strict=True):
        for panel, weighting in zip(row, ("counts", "unweighted"), strict=True):
            records = [
                r
                for r in data["records"]
                if r["kind"] == "loss"
                and r["set"] == name
                and r["weighting"] == weighting
                and r["n_values"] in (2, 3, 4, 8, 16, 32, 64)
            ]
            told = "counts used" if weighting == "counts" else "counts ignored"
            over_optimum(panel, records, f"{name}, {told}")
        row[0].set_ylabel("squared error / exact optimum")
    return finish(figure, axes, folder / "images-loss.svg", columns=4)


def images_pictures(data: Record, folder: Path) -> str:
    """Show one picture of the first collection as each method draws it."""
    name = data["pictures"][0]["set"]
    shown = [p for p in data["pictures"] if p["set"] == name]
    methods = list(dict.fromkeys(p["method"] for p in shown if p["n_values"]))
    counts = sorted({p["n_values"] for p in shown if p["n_values"]})
    figure, axes = canvas(len(methods) + 1, len(counts), size=(1.35, 1.4))
    original = np.array(shown[0]["pixels"])
    for number, (row, n_values) in enumerate(zip(axes, counts, strict=True)):
        row[0].imshow(original, cmap="gray", vmin=0, vmax=original.max())
        row[0].set_ylabel(f"{n_values} values")
        for panel, method in zip(row[1:], methods, strict=True):
            for p in shown:
                if p["method"] == method and p["n_values"] == n_values:
                    panel.imshow(p["pixels"], cmap="gray", vmin=0, vmax=original.max())
                    panel.set_xlabel(f"error x {p['ratio']:.2f}", fontsize=7)
        if number == 0:
            for panel, title in zip(row, ["original", *methods], strict=True):
                panel.set_title(title, fontsize=8)
    for panel in axes.ravel():
        panel.set(xticks=[], yticks=[])
        for spine in panel.spines.values():
            spine.set_visible(False)
    return finish(figure, axes, folder / "images-pictures.png")


def synthetic_loss(data: Record, folder: Path) -> str:
    """Draw the error on a few hundred values."""
    records = [r for r in data["records"] if r["kind"] == "loss"]
    names = list(dict.fromkeys(r["data"] for r in records))
    figure, axes = canvas(len(names), size=(2.9, 3.0))
    for panel, name in zip(axes[0], names, strict=True):
        over_optimum(panel, [r for r in records if r["data"] == name], f"{name}, 500 values")
        panel.tick_params(axis="x", labelsize=6.5)
    axes[0, 0].set_ylabel("squared error / exact optimum")
    return finish(figure, axes, folder / "synthetic-loss.svg", columns=11)


def synthetic_growth(data: Record, folder: Path) -> str:
    """Draw time and memory against the number of data, both axes logarithmic."""
    records = [r for r in data["records"] if r["kind"] == "growth"]
    names = list(dict.fromkeys(r["data"] for r in records))
    figure, axes = canvas(len(names), 2, size=(2.9, 2.7))
    rows = (("seconds", "CPU seconds"), ("megabytes", "extra memory, MB"))
    for r in records:
        if "extra_bytes" in r:
            r["megabytes"] = max(r["extra_bytes"] / 1e6, 0.05)
    for row, (field, label) in zip(axes, rows, strict=True):
        for panel, name in zip(row, names, strict=True):
            found = curves(
                [r for r in records if r["data"] == name], field, "size", (*MAIN, "l1-l2")
            )
            draw(panel, found, xscale="log", yscale="log", xlabel="data", title=name)
        row[0].set_ylabel(label)
    return finish(figure, axes, folder / "synthetic-growth.png", columns=12)


WEIGHTS = (weights_error, weights_quality, weights_fisher, weights_coefficients)
IMAGES = (images_loss, images_pictures)
SYNTHETIC = (synthetic_loss, synthetic_growth)
