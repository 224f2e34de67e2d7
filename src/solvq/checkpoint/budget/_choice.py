"""Recipes of all tensors within a budget: the bits go where they save most error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from solvq.checkpoint._settings import Recipe
from solvq.checkpoint.budget._allocate import allocate, refined
from solvq.checkpoint.budget._limit import Budget
from solvq.checkpoint.budget._options import BITS, Candidates, Option

COLUMNS = 8  # rounds of new options at the slope that the last ones gave
CLOSE = 1e-4  # relative distance of loss and bound at which no more are made
BESIDE = 75  # bytes that the entry of a tensor's scales takes in the header at least
MARGIN = 16  # bytes by which the description of a plan depends on the numbers in it


@dataclass(frozen=True)
class Plan:
    """Option of each tensor, and how far the plan is from the best.

    ``loss`` is what the plan minimises: the sum of squared errors, weighted by the importance, or,
    without one, each tensor's over its sum of squares, times a power of its size; where the error
    is limited, the bytes. ``bound`` is the proven least of it over all choices among the curves.
    """

    options: dict[str, Option]
    loss: float = 0.0
    bound: float = 0.0

    @property
    def nbytes(self) -> int:
        """Bytes of the tensors."""
        return sum(option.nbytes for option in self.options.values())

    @property
    def recipes(self) -> dict[str, Recipe]:
        """Recipe of each tensor."""
        return {name: option.recipe for name, option in self.options.items()}


def _bytes(option: Option, beside: int) -> int:
    """Bytes of an option, and some beside them if it has scales, which are an entry more."""
    return option.nbytes + (0 if option.scheme.scales is None else beside)


def _points(found: Mapping[str, Candidates], in_bytes: bool, beside: int) -> list[Any]:
    """Cost and loss of all options, tensor by tensor."""
    sides = [
        np.array([[float(_bytes(o, beside)), o.loss] for o in one.options])
        for one in found.values()
    ]
    return sides if in_bytes else [side[:, ::-1] for side in sides]


def _within(
    found: Mapping[str, Candidates], limit: float, in_bytes: bool, beside: int = 0
) -> Plan | None:
    """Best plan within a limit on bytes, or on loss; options are added where they help."""
    result = allocate(_points(found, in_bytes, beside), limit)
    for _ in range(COLUMNS):
        if result is None or result.slope <= 0.0:
            break
        before = sum(len(one.known) for one in found.values())
        for one in found.values():
            one.extend(result.slope if in_bytes else 1.0 / result.slope)
        if sum(len(one.known) for one in found.values()) == before:
            break
        last, result = result, allocate(_points(found, in_bytes, beside), limit)
        if result is not None and result.loss >= (1.0 - CLOSE) * last.loss:
            break
    if result is None:
        return None
    result = refined(_points(found, in_bytes, beside), limit, result)
    chosen = zip(found.items(), result.chosen, strict=True)
    return Plan({n: one.options[i] for (n, one), i in chosen}, result.loss, result.bound)


def within_bytes(found: Mapping[str, Candidates], limit: float, beside: int = 0) -> Plan | None:
    """Plan of least loss in so many bytes, of which scales take some ``beside`` them.

    None if there is none.
    """
    return _within(found, limit, True, beside)


def within_error(found: Mapping[str, Candidates], budget: Budget, aim: float) -> Plan:
    """Plan of fewest bytes within ``aim`` times a limit on the relative error.

    Raises
    ------
    ValueError
        If it cannot be met.
    """
    if budget.max_error is not None:
        groups = [dict(found)] if found else []
    else:
        groups = [{name: one} for name, one in found.items()]
    share = aim * (budget.max_error or budget.max_tensor_error or 0.0)
    options: dict[str, Option] = {}
    sums = [0.0, 0.0]
    for group in groups:
        plan = _within(group, share * sum(one.energy for one in group.values()), False)
        if plan is None:
            raise ValueError(_unreachable(group, share))
        options |= plan.options
        sums = [sums[0] + plan.loss, sums[1] + plan.bound]
    return Plan({name: options[name] for name in found}, *sums)


def _unreachable(group: Mapping[str, Candidates], share: float) -> str:
    """What to say if a relative error cannot be met."""
    least = {
        name: min(o.loss for o in one.options) / one.energy
        for name, one in group.items()
        if one.energy > 0.0
    }
    worst = max(least, key=lambda name: least[name])
    return (
        f"a relative error of {share:g} needs more than {1 << max(BITS)} values a table for "
        f"{worst!r} (least there: {least[worst]:.2g}); raise it, or exclude such tensors"
    )


def within_file(
    found: Mapping[str, Candidates], limit: int, overhead: Callable[[Plan], int]
) -> Plan:
    """Plan of least loss in a file of so many bytes, of which a plan leaves ``overhead``.

    Raises
    ------
    ValueError
        If no plan is small enough; the message says what the smallest one takes.
    """
    least = {
        name: min(one.options, key=lambda option: option.nbytes) for name, one in found.items()
    }
    smallest = Plan(least)
    room, bound = float(limit - overhead(smallest)), 0.0
    while (plan := within_bytes(found, room, BESIDE)) is not None:
        bound = bound or plan.bound
        excess = plan.nbytes + overhead(plan) - limit
        if excess <= 0:
            return replace(plan, bound=min(plan.bound, bound))
        room = sum(_bytes(option, BESIDE) for option in plan.options.values()) - excess
    size = smallest.nbytes + overhead(smallest)
    if size <= limit:
        return smallest
    fixed = all(option.scheme.coded is None for option in least.values())
    raise ValueError(
        f"the budget cannot be met: the smallest file with these settings has {size + MARGIN} "
        f"bytes; raise it, or compress more tensors{', or use entropy coding' if fixed else ''}"
    )
