"""What the names of tensors say: which are kept, and which need more bits than others."""

from __future__ import annotations

import math
from collections.abc import Iterable
from fnmatch import fnmatchcase

KEEP = "keep"
RULES = (
    ("*embed*", "2"),
    ("*lm_head*", "3"),
    ("*classifier*", "3"),
    ("*head.weight", "3"),
    ("fc.weight", "3"),
)


def matches(name: str, globs: Iterable[str]) -> bool:
    """Whether a tensor's name fits one of several shell patterns."""
    return any(fnmatchcase(name, glob) for glob in globs)


def check_rules(rules: Iterable[tuple[str, str]]) -> None:
    """Refuse rules that say nothing.

    Raises
    ------
    ValueError
        If an action is neither ``keep`` nor a number of bits.
    """
    for glob, action in rules:
        if action == KEEP:
            continue
        try:
            bits = float(action)
        except ValueError:
            bits = math.nan
        if not 0.0 <= bits <= 16.0:
            raise ValueError(
                f"rule {glob}={action}: give GLOB=keep, or GLOB=B with bits per weight, 0 to 16"
            )


def action_of(name: str, rules: Iterable[tuple[str, str]]) -> str:
    """What the last rule that a name fits says; ``0`` bits if there is none."""
    found = "0"
    for glob, action in rules:
        if fnmatchcase(name, glob):
            found = action
    return found


def least_bits(name: str, rules: Iterable[tuple[str, str]]) -> float:
    """Bits per weight that a tensor needs at least."""
    action = action_of(name, rules)
    return 0.0 if action == KEEP else float(action)


def parse_rule(text: str) -> tuple[str, str]:
    """Pattern and action of a text ``GLOB=ACTION``.

    Raises
    ------
    ValueError
        If it is no such text.
    """
    glob, sign, action = text.rpartition("=")
    if not sign or not glob:
        raise ValueError(f"rule is {text!r}; give GLOB=keep or GLOB=B, as in '*embed*=4'")
    return glob, action
