"""Figures with axes: convergence, use of codewords, error against bits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from solvq.report._groups import Group

LEAST_SHARE = 1e-3  # of an even use, below which codewords are drawn at the bottom


def colour(place: int) -> Any:
    """Colour of the group at a place in the table."""
    return mpl.colormaps["tab20"](place % 20)


def _finish(figure: Figure, axes: Axes) -> None:
    """A grid, and the names below all panels."""
    for one in figure.axes:
        one.grid(alpha=0.3, which="both")
    handles, names = axes.get_legend_handles_labels()
    columns = max(1, min(4, 110 // max((len(name) for name in names), default=1)))
    figure.legend(handles, names, loc="outside lower center", ncols=columns, fontsize=7)


def convergence(groups: Sequence[Group]) -> Figure:
    """Squared error of the test images watched in training, against steps and seconds."""
    figure = Figure(figsize=(9.5, 5), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for place, one in enumerate(groups):
        for number, run in enumerate(one.runs):
            lines = [line for line in run.metrics() if "mse" in line]
            for axes, across in zip(panels, ("step", "seconds"), strict=True):
                axes.plot(
                    [line[across] for line in lines],
                    [line["mse"] for line in lines],
                    color=colour(place),
                    label=one.name if number == 0 else None,
                    linewidth=1.2,
                    linestyle="--" if one.plain else "-",
                )
    panels[0].set(xlabel="step", ylabel="MSE of watched test images", yscale="log")
    panels[1].set(xlabel="seconds of training", yscale="log")
    _finish(figure, panels[0])
    return figure


def _sorted_usage(one: Group) -> NDArray[np.float64]:
    """Use of codewords over an even one, most used first, mean over levels and seeds."""
    seeds = [run.arrays()["usage"] for run in one.runs]
    falling = [np.sort(shares, axis=1)[:, ::-1].mean(0) * shares.shape[1] for shares in seeds]
    return np.mean(falling, axis=0)


def usage(groups: Sequence[Group]) -> Figure:
    """How much each codeword serves on the test images, sorted, over an even use."""
    figure = Figure(figsize=(7.5, 5), layout="constrained")
    axes = figure.subplots()
    for place, one in enumerate(groups):
        if one.plain:
            continue
        shares = _sorted_usage(one)
        axes.step(
            np.linspace(0, 1, len(shares) + 1),
            np.append(shares, shares[-1]).clip(LEAST_SHARE),
            where="post",
            color=colour(place),
            label=one.name,
        )
    axes.axhline(1, color="black", linewidth=0.6)
    axes.set(
        xlabel="codewords, most used first, as a share of all",
        ylabel="use (indices, or weights of mixtures) over an even one",
        yscale="log",
    )
    _finish(figure, axes)
    return figure


def _bits(point: dict[str, Any]) -> float:
    """Bits per pixel of an ideal coder where they were counted, otherwise nominal ones."""
    bits = point["bits_per_pixel"]
    return float(bits["nominal"] if bits["entropy"] is None else bits["entropy"])


def error_against_bits(groups: Sequence[Group]) -> Figure:
    """Error of reconstructions from bits, for all ways in which runs were sent.

    The first way of each run, its own, is filled; a dashed line is what a plain autoencoder
    reaches without rounding.
    """
    figure = Figure(figsize=(8.5, 6), layout="constrained")
    axes = figure.subplots()
    for place, one in enumerate(groups):
        shade = colour(place)
        for number, run in enumerate(one.runs):
            points = run.found["points"]
            across, up = [_bits(p) for p in points], [p["mse"] for p in points]
            order = np.argsort(across)
            axes.plot(np.take(across, order), np.take(up, order), color=shade, linewidth=0.6)
            axes.scatter(across[1:], up[1:], s=22, facecolors="none", edgecolors=[shade])
            label = one.name if number == 0 else None
            axes.scatter(across[:1], up[:1], s=45, color=[shade], label=label, zorder=3)
            if one.plain:
                axes.axhline(run.found["mse"], color=shade, linestyle="--", linewidth=0.8)
    axes.set(
        xlabel="bits per pixel (entropy; nominal for numbers)",
        ylabel="MSE of reconstructions from the bits",
        xscale="log",
        yscale="log",
    )
    _finish(figure, axes)
    return figure
