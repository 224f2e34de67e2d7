"""How the figures of the study look: one colour a method, quiet axes, a legend below."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

COLOURS = {
    "optimal": "#c0392b",
    "l0": "#e6837a",
    "l1": "#1f5fa8",
    "l1, no refit": "#8fb8e8",
    "l1-l2": "#3aa6a0",
    "l1-l2, no refit": "#a6dbd8",
    "iterative-l1": "#6c5bb5",
    "iterative-l1, no refit": "#beb4e6",
    "adaptive-l1": "#0a2a52",
    "kmeans": "#3f3f3f",
    "kmeans x1": "#3f3f3f",
    "kmeans x10": "#9a9a9a",
    "cluster-ls": "#8a6d3b",
    "lloyd-max": "#2e8b57",
    "transform": "#8fbc5a",
    "mixture": "#d17fb4",
    "quantile": "#e0a030",
    "uniform": "#e8721c",
    "textbook k-means": "#b0b0b0",
}
MARKERS = {"optimal": "o", "adaptive-l1": "s", "kmeans": "^", "lloyd-max": "v", "uniform": "x"}
MAIN = (
    "optimal",
    "lloyd-max",
    "transform",
    "kmeans",
    "adaptive-l1",
    "l1",
    "iterative-l1",
    "l1, no refit",
    "mixture",
    "quantile",
    "uniform",
)
"""What the figures show; `l0` lies on `optimal`, `cluster-ls` on `kmeans`, `l1-l2` on `l1`."""


def colour(method: str) -> str:
    """Return a method's colour."""
    return COLOURS.get(method, "#777777")


def canvas(columns: int, rows: int = 1, size: tuple[float, float] = (3.3, 3.0)) -> Any:
    """Return a figure and its panels, as an array of rows."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams |= {"svg.hashsalt": "solvq", "svg.fonttype": "path", "font.size": 8.5}
    mpl.rcParams |= {"axes.spines.top": False, "axes.spines.right": False}
    figure = Figure(figsize=(size[0] * columns, size[1] * rows + 0.6), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def draw(axes: Any, curves: dict[str, Iterable[tuple[float, float]]], **settings: Any) -> None:
    """Draw a curve a method."""
    for method, points in curves.items():
        ordered = sorted(points)
        if ordered:
            axes.plot(
                *zip(*ordered, strict=True),
                color=colour(method),
                marker=MARKERS.get(method, "."),
                markersize=4,
                linewidth=2.0 if method == "optimal" else 1.2,
                label=method,
                zorder=4 if method == "optimal" else 3,
            )
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.set(**settings)


def count_ticks(axes: Any, counts: Sequence[int]) -> None:
    """Label a logarithmic axis with the numbers of values themselves."""
    axes.set_xscale("log", base=2)
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.minorticks_off()


def plain_ticks(axes: Any, ticks: Sequence[float]) -> None:
    """Label a logarithmic upright axis with plain numbers."""
    low, high = axes.get_ylim()
    kept = [tick for tick in ticks if low <= tick <= high]
    axes.set_yticks(kept, [f"{tick:g}" for tick in kept])
    axes.minorticks_off()


def finish(figure: Any, axes: Any, path: Path, columns: int = 6) -> str:
    """Add one legend for all panels, write the file, and return its name."""
    shown: dict[str, Any] = {}
    for panel in axes.ravel():
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            shown.setdefault(label, handle)
    if shown:
        columns = max(2, min(columns, int(figure.get_figwidth() / 1.25)))
        figure.legend(
            shown.values(), shown.keys(), loc="outside lower center", ncols=columns, frameon=False
        )
    figure.savefig(path, dpi=85, metadata={"Date": None} if path.suffix == ".svg" else None)
    return path.name
