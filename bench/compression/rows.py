"""solvq's rows: settings of `solvq.checkpoint.compress`, one line each."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Any, NamedTuple

from solvq import checkpoint

Settings = dict[str, Any]
ERROR = 0.0055  # squared, relative: what MiniLM's matrices should have at 4 bits
IMPORTANCE = "<importance>"  # stands for the model's own file
WHOLE, ALL = (8.0, 4.0, 3.0, 2.0), (8.0, 4.0, 3.0, 2.5, 2.0)


class Row(NamedTuple):
    """Settings, how a nominal rate becomes one of them, and the rates there are."""

    about: str
    settings: Settings
    at: Callable[[float], Settings]
    rates: tuple[float, ...]


def values(bits: float) -> Settings:
    """As many values as codes of that many bits have."""
    return {"n_values": 2 ** int(bits)}


def average(bits: float) -> Settings:
    """A budget over all tensors."""
    return {"avg_bits": bits}


def within(_: float) -> Settings:
    """A limit on the error of all tensors together."""
    return {"max_error": ERROR}


TENSOR, TABLES = {}, {"layout": "row"}
AUTO = {"layout": "auto"}
ENTROPY = AUTO | {"entropy": True}
WEIGHTED = ENTROPY | {"importance": IMPORTANCE}

SOLVQ: dict[str, Row] = {
    "solvq-tensor": Row("one exact table per tensor", TENSOR, values, WHOLE),
    "solvq-row": Row("one exact table per row", TABLES, values, WHOLE),
    "solvq-auto": Row("bits and layout chosen per tensor", AUTO, average, ALL),
    "solvq-entropy": Row("the same, entropy-coded", ENTROPY, average, ALL),
    "solvq-error": Row(
        f"fewest bytes at a squared error of {ERROR} in total", ENTROPY, within, (4.0,)
    ),
    "solvq-importance": Row("the same, weighted by importance", WEIGHTED, average, ALL),
}
AT_SIZE: dict[str, Settings] = {"auto": AUTO, "entropy": ENTROPY, "importance": WEIGHTED}
"""Settings of the runs at the file size of a competitor."""


def unknown(settings: Settings) -> list[str]:
    """Names of settings that this solvq does not have yet."""
    allowed = {field.name for field in fields(checkpoint.Settings)}
    allowed |= set(inspect.signature(checkpoint.compress).parameters)
    return sorted(set(settings) - allowed)
