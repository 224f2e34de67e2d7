"""The figure of the ablation: quantization error against time, a panel a size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

LINES = {"exact": "#c0392b", "gradient": "#2980b9"}
MARKS = {"nearest": ("s", "#2c3e50"), "relaxed": ("^", "#8e44ad"), "alternating": ("v", "#95a5a6")}


def draw(axes: Axes, entry: dict[str, Any]) -> None:
    """Draw one problem: microseconds a latent to the right, error upwards."""
    paths: dict[str, list[tuple[float, float]]] = {}
    for name, point in entry["methods"].items():
        family = name.split()[0]
        place = (1e6 * min(point["seconds"]), point["error"])
        if family in LINES:
            paths.setdefault(family, []).append(place)
        else:
            marker, colour = MARKS[family]
            face = colour if point["lawful"] else "none"
            style = {"marker": marker, "facecolors": face, "edgecolors": colour}
            axes.scatter(*place, s=28, label=family, zorder=3, **style)
    for family, places in paths.items():
        axes.plot(*zip(*places, strict=True), ".-", color=LINES[family], label=family, linewidth=1)
    axes.set(xscale="log", yscale="log")
    axes.set_title(entry["title"], fontsize=8)
    axes.grid(alpha=0.3, which="major")


def save(entries: list[dict[str, Any]], alpha: float, facts: dict[str, Any], out: Path) -> None:
    """Write the problems of one penalty, F downwards and K to the right."""
    entries = [entry for entry in entries if entry["alpha"] == alpha]
    if not entries:
        raise SystemExit(f"no result at alpha {alpha:g} to draw; give --figure-alpha")
    columns = len({entry["n_codes"] for entry in entries})
    rows = -(-len(entries) // columns)
    mpl.rcParams |= {"svg.hashsalt": "solvq", "svg.fonttype": "path", "font.size": 8}
    figure = Figure(figsize=(0.8 + 2.4 * columns, 0.9 + 2.0 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for axes, entry in zip(panels, entries, strict=False):
        draw(axes, entry)
    for axes in list(panels)[len(entries) :]:
        axes.remove()
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
    figure.supylabel("quantization error |z - z_q|² / |z|²", fontsize=8)
    figure.supxlabel(
        f"CPU microseconds a latent; relative penalty {alpha:g}; points of a line: 5, 10, 20, 50 "
        "steps and at most 1, 2, 3, 5, 10, 50 rounds; hollow: weights not on the simplex\n"
        f"{facts['command']}; commit {facts['commit'][:12]}, seed {facts['seed']}, "
        f"{facts['processor']}",
        fontsize=6,
        color="#7f8c8d",
    )
    figure.savefig(out, metadata={"Date": None} if out.suffix == ".svg" else None)
