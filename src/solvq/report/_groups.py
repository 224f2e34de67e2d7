"""Runs that differ in their seed alone, and what to call them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from solvq.report._record import PLAIN, Record

BOTTLENECK = frozenset(  # what an autoencoder without bottleneck may have otherwise
    {
        "quantizer",
        "n_codes",
        "options",
        "anneal",
        "start",
        "revive_every",
        "objective",
        "objective_options",
        "seed",
        "interval",
    }
)
NAMELESS = frozenset({"seed", "interval", "quantizer"})


@dataclass(frozen=True)
class Group:
    """Runs of one configuration with different seeds, and their name among others."""

    name: str
    runs: tuple[Record, ...]

    @property
    def config(self) -> dict[str, Any]:
        """Configuration, with the seed of the first."""
        return self.runs[0].config

    @property
    def plain(self) -> bool:
        """Whether they have no bottleneck."""
        return self.runs[0].plain


def group(runs: Sequence[Record]) -> list[Group]:
    """Group runs by configuration, plain autoencoders first, otherwise in the order given.

    A group is called by its bottleneck and, where several have the same, by the fields in which
    these differ.
    """
    together: dict[str, list[Record]] = {}
    for run in sorted(runs, key=lambda run: not run.plain):
        together.setdefault(_key(run.config, frozenset({"seed", "interval"})), []).append(run)
    configs = [members[0].config for members in together.values()]
    return [
        Group(_name(members[0].config, configs), tuple(members)) for members in together.values()
    ]


def plain_of(one: Group, groups: Sequence[Group]) -> Group | None:
    """The plain autoencoder of the same data, architecture and training; None if not there."""
    wanted = _key(one.config, BOTTLENECK)
    fitting = (g for g in groups if g.plain and _key(g.config, BOTTLENECK) == wanted)
    return next(fitting, None)


def _key(config: dict[str, Any], without: frozenset[str]) -> str:
    """Text that is the same for configurations that agree in all other fields."""
    rest = {name: value for name, value in config.items() if name not in without}
    return json.dumps(rest, sort_keys=True)


def _name(config: dict[str, Any], configs: Sequence[dict[str, Any]]) -> str:
    """Bottleneck, and what tells a configuration from others with the same one."""
    name = "plain autoencoder" if config["quantizer"] == PLAIN else str(config["quantizer"])
    same = [other for other in configs if other["quantizer"] == config["quantizer"]]
    parts = [name]
    parts += [
        _said(field, value)
        for field, value in config.items()
        if field not in NAMELESS and any(other.get(field) != value for other in same)
    ]
    return ", ".join(parts)


def _said(field: str, value: Any) -> str:
    """A field and its value in few characters."""
    if isinstance(value, dict):
        inside = " ".join(f"{key}={json.dumps(item)}" for key, item in value.items())
        return inside or f"no {field}"
    return f"{field}={value}"
