"""Error against a choice that was swept, such as the number of codewords or the resolution."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from solvq.report._groups import Group
from solvq.report._record import PLAIN

SWEPT = ("n_codes", "n_down", "dim", "width", "steps")  # numbers that a sweep goes over
TITLES = {"n_codes": "codewords", "n_down": "halvings of the resolution", "dim": "latent length"}


def swept(groups: Sequence[Group]) -> dict[str, dict[str, list[Group]]]:
    """For each number that runs of a bottleneck differ in alone, those runs by bottleneck.

    A bottleneck's runs at the values that the other numbers have most often are taken.
    """
    usual = {name: _most(groups, name) for name in SWEPT}
    found: dict[str, dict[str, list[Group]]] = {}
    for name in SWEPT:
        others = [other for other in SWEPT if other != name]
        for one in groups:
            codes = ("n_codes",) if one.plain else ()  # which do not matter without a bottleneck
            if all(one.config[o] == usual[o] for o in others if o not in codes):
                quantizer = str(one.config["quantizer"])
                found.setdefault(name, {}).setdefault(quantizer, []).append(one)
    return {
        name: kinds
        for name, kinds in found.items()
        if any(len({one.config[name] for one in members}) > 1 for members in kinds.values())
    }


def _most(groups: Sequence[Group], name: str) -> int:
    """Value that a number of the configuration has most often."""
    values, counts = np.unique([one.config[name] for one in groups], return_counts=True)
    return int(values[counts.argmax()])


def sweeps(groups: Sequence[Group]) -> Figure | None:
    """Squared error of reconstructions against each number that was swept; None without any."""
    found = swept(groups)
    if not found:
        return None
    figure = Figure(figsize=(4.6 * len(found), 4), layout="constrained")
    panels = figure.subplots(1, len(found), squeeze=False)[0]
    for axes, (name, kinds) in zip(panels, found.items(), strict=True):
        for quantizer, several in kinds.items():
            members = sorted(several, key=lambda one: one.config[name])
            across = [one.config[name] for one in members]
            up = [np.mean([run.found["mse"] for run in one.runs]) for one in members]
            label = "plain autoencoder" if quantizer == PLAIN else quantizer
            if len(set(across)) > 1:
                axes.plot(across, up, marker="o", label=label)
            elif quantizer == PLAIN:
                axes.axhline(up[0], color="grey", linestyle="--", label=label)
        axes.set(xlabel=TITLES.get(name, name), ylabel="MSE of test images", yscale="log")
        axes.grid(alpha=0.3, which="both")
        if name == "n_codes":
            axes.set_xscale("log", base=2)
        axes.legend(fontsize=7)
    return figure
