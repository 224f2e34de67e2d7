"""Checks of what a run is asked for."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any


def check_choice(name: str, value: Any, allowed: Iterable[str]) -> None:
    """Raise unless a name is one of those allowed."""
    names = list(allowed)
    if value not in names:
        raise ValueError(f"{name} is {value!r}; choose one of {', '.join(names)}")


def check_range(
    name: str, value: Any, least: float, most: float = math.inf, *, whole: bool = False
) -> None:
    """Raise unless a number is finite, in its range, and whole if it has to be."""
    right = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
    if not right or not math.isfinite(value) or not least <= value <= most:
        what = "an integer" if whole else "a number"
        span = f"of at least {least}" if most == math.inf else f"from {least} to {most}"
        raise ValueError(f"{name} is {value!r}; give {what} {span}")
