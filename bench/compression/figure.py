"""The figure: what a model loses against the bytes of its file."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from bench.compression.methods import METHODS
from bench.compression.models import MODELS
from bench.compression.results import EQUAL, Result
from bench.compression.rows import SOLVQ

FLOOR = 1e-4  # no worse than the model as shipped, as far as a figure can show
RED, ORANGE, DARK, GREY = "#c0392b", "#e67e22", "#2c3e50", "#95a5a6"
STYLES = {
    "solvq-tensor": (ORANGE, "v:"),
    "solvq-row": (ORANGE, "^:"),
    "solvq-auto": (RED, "o--"),
    "solvq-entropy": (RED, "o-"),
    "solvq-error": (RED, "d"),
    "solvq-importance": (RED, "*-"),
    "k-means": (DARK, "s-"),
    "k-means-half": (GREY, "s-"),
    "nf4": (DARK, "D"),
    "nf4-double": (GREY, "D"),
    "q4_0": (DARK, "P"),
    "q8_0": (GREY, "P"),
    "int8": (DARK, "X"),
    "int4-32": (GREY, "<"),
    "int4-64": (GREY, ">"),
    "int4-128": (GREY, "X"),
    "hqq": (GREY, "h-"),
}


def draw(results: list[Result], facts: dict[str, Any], path: Path) -> None:
    """A panel for each model."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    names = [name for name in MODELS if any(each["model"] == name for each in results)]
    mpl.rcParams |= {"svg.hashsalt": "solvq", "svg.fonttype": "path", "font.size": 9}
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(3.6 * columns + 1.8, 3.2 * rows + 0.4), layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes, name in zip(panels, names, strict=False):
        panel(axes, name, [each for each in results if each["model"] == name])
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    handles = {}
    for axes in figure.axes:
        handles |= dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))
    figure.legend(handles.values(), handles.keys(), loc="outside right center", fontsize=7)
    said = f"{facts['command']}; commit {facts['commit'][:12]}, {facts['processor']}"
    figure.supxlabel("\n".join(textwrap.wrap(said, 150)), fontsize=7, color="#7f8c8d")
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def panel(axes: Any, model: str, results: list[Result]) -> None:
    """Loss of the first measure against bytes, a line for each method."""
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

    measure = MODELS[model].measures[0]
    whole = next((each for each in results if each["method"] == "float"), None)
    if whole is None:
        return
    best, sign = whole["quality"][measure.name], 1 if measure.higher_is_better else -1
    for name in (*METHODS, *SOLVQ):
        mine = [each for each in results if each["method"] == name and EQUAL not in name]
        mine.sort(key=lambda each: each["nbytes"])
        loss = [max(FLOOR, sign * (best - each["quality"][measure.name])) for each in mine]
        if mine:
            colour, style = STYLES[name]
            sizes = [each["nbytes"] / 1e6 for each in mine]
            axes.plot(sizes, loss, style, color=colour, ms=4, lw=1, label=name)
    axes.axhline(FLOOR, color=GREY, linewidth=0.8, zorder=1)
    axes.set(xscale="log", yscale="log", title=model, xlabel="file, MB")
    axes.set_ylabel(f"{measure.name}: loss against {best:.4f}")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=6))
    axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.3)
