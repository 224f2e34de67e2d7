"""Figures of images and of latents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from solvq.report._groups import Group

COLUMNS = 4  # panels beside each other
CLOUDS = (  # array, what it is called, colour, size of a point
    ("latents", "latents", "#b0b8bf", 3.0),
    ("values", "quantized", "#2471a3", 3.0),
    ("codebook", "codewords", "#c0392b", 9.0),
)


def contact_sheet(groups: Sequence[Group]) -> Figure:
    """Reconstructions of the same images, one row a configuration, the originals on top.

    The originals are those of the first run; a row that was made of others has its own above it.
    """
    rows: list[tuple[str, NDArray[Any]]] = []
    above: NDArray[Any] | None = None
    for one in groups:
        arrays = one.runs[0].arrays()
        if above is None or not np.array_equal(above, arrays["originals"]):
            above = arrays["originals"]
            rows.append(("originals", above))
        rows.append((one.name, arrays["reconstructions"]))
    most = max(len(images) for _, images in rows)
    edge = 0.55  # inches of an image
    figure = Figure(figsize=(2.6 + edge * most, (edge + 0.04) * len(rows)), layout="constrained")
    for axes, (name, images) in zip(
        figure.subplots(len(rows), 1, squeeze=False)[:, 0], rows, strict=True
    ):
        axes.imshow(np.concatenate(list(images), axis=1), interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=7)
        for edge_line in axes.spines.values():
            edge_line.set_visible(False)
    return figure


def principal(rows: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean of rows, and the two directions (dim, 2) in which they vary most."""
    fine = rows.astype(np.float64)
    mean = fine.mean(0)
    axes = np.linalg.svd(fine - mean, full_matrices=False)[2][:2].T
    return mean, np.pad(axes, ((0, 0), (0, 2 - axes.shape[1])))


def latents(groups: Sequence[Group]) -> Figure:
    """Latents, what they become, and codewords, on the two main directions of the latents."""
    n_rows = -(-len(groups) // COLUMNS)
    n_columns = min(COLUMNS, len(groups))
    figure = Figure(figsize=(3 * n_columns, 3 * n_rows + 0.4), layout="constrained")
    panels = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for axes in panels[len(groups) :]:
        axes.set_axis_off()
    for axes, one in zip(panels, groups, strict=False):
        arrays = one.runs[0].arrays()
        mean, directions = principal(arrays["latents"])
        for name, label, shade, size in CLOUDS:
            if name in arrays and not (one.plain and name == "values"):
                across, up = ((arrays[name] - mean) @ directions).T
                axes.scatter(across, up, s=size, color=shade, linewidths=0, label=label)
        axes.set_title(one.name, fontsize=7)
        axes.tick_params(labelsize=6)
    handles: dict[str, Any] = {}
    for axes in panels:
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(name, handle)
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3, fontsize=7)
    return figure
