"""``python -m bench.figure RESULTS.json OUT.svg``: excess error against time, from a run's JSON."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

EXAMPLE = """\
example:
  python -m bench.figure reports/scalar-exact/normal-1e6.json docs/scalar-exact.svg
"""
FLOOR = 1e-5  # percent: at the optimum, as far as a figure can show


def draw(axes: Axes, result: dict[str, Any]) -> None:
    """Draw the methods of one problem: time to the right, error upwards, the optimum below."""
    problem = result["problem"]
    for name, m in result["methods"].items():
        if m["status"] != "ok":
            continue
        ours = name == "ours"
        excess = max(FLOOR, 100 * m["score"]["excess_max"])
        colour = "#c0392b" if ours else "#2c3e50" if m["score"]["optimal"] else "#95a5a6"
        axes.scatter(m["cpu"], excess, s=90 if ours else 45, color=colour, zorder=3)
        axes.annotate(
            "solvq" if ours else name,
            (m["cpu"], excess),
            xytext=(2, 7),
            textcoords="offset points",
            ha="left",
            fontsize=8,
            rotation=40,
            rotation_mode="anchor",
            color=colour,
            weight="bold" if ours else "normal",
        )
    axes.axhline(FLOOR, color="#c0392b", linewidth=0.8, zorder=1)
    axes.set(xscale="log", yscale="log", xlabel="CPU seconds", ylim=(FLOOR / 2, 300))
    size, k = problem["shape"][-1], problem["n_values"]
    axes.set_title(f"{size:,} {problem['dataset']} float32, {k} values", fontsize=10)
    ticks = [FLOOR, *(10.0**power for power in range(-3, 3))]
    axes.set_yticks(ticks, ["0", *(f"{tick:g}" for tick in ticks[1:])], minor=False)
    axes.minorticks_off()
    axes.margins(x=0.3)
    axes.grid(alpha=0.3, which="major")


def main() -> int:
    """Read results, write the figure."""
    command = argparse.ArgumentParser(
        prog="python -m bench.figure",
        description=__doc__.splitlines()[0] if __doc__ else None,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("results", type=Path, help="JSON of a scalar-exact run")
    command.add_argument("out", type=Path, help="figure to write (.svg, .png)")
    options = command.parse_args()
    data = json.loads(options.results.read_text())
    mpl.rcParams |= {"svg.hashsalt": "solvq", "svg.fonttype": "path", "font.size": 9}
    figure = Figure(figsize=(9.5, 3.8), layout="constrained")
    panels = figure.subplots(1, len(data["results"]), squeeze=False)[0]
    for axes, result in zip(panels, data["results"], strict=True):
        draw(axes, result)
    panels[0].set_ylabel("error above the optimum, %")
    facts = data["environment"]
    figure.supxlabel(
        f"{facts['command']}; commit {facts['commit'][:12]}, seed {facts['seed']}, "
        f"{facts['processor']}, {facts['threads']} thread",
        fontsize=7,
        color="#7f8c8d",
    )
    figure.savefig(options.out, metadata={"Date": None} if options.out.suffix == ".svg" else None)
    return 0


if __name__ == "__main__":
    sys.exit(main())
