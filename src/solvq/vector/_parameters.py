"""Checks of what the layers are built with."""

from __future__ import annotations

from numbers import Integral
from typing import Any


def check_size(name: str, value: Any) -> int:
    """An integer of at least 1, or raise."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} is {value!r}; give an integer >= 1")
    if value < 1:
        raise ValueError(f"{name} is {value}; give an integer >= 1")
    return int(value)


def check_number(name: str, value: Any, low: float, high: float = float("inf")) -> float:
    """A number between ``low`` and ``high``, both allowed but infinity, or raise."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} is {value!r}; give a number")
    if not low <= value <= high or value == float("inf"):
        raise ValueError(f"{name} is {value}; give a number from {low} to {high}")
    return float(value)


def check_flag(name: str, value: Any) -> bool:
    """True or False, or raise."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}; give True or False")
    return value
