"""Recipes of all tensors within a budget: the bits go where they save most error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from solvq.checkpoint._allocate import Allocation, allocate, refined
from solvq.checkpoint._budget import Budget
from solvq.checkpoint._options import Candidates, Option
from solvq.checkpoint._plan import Recipe

COLUMNS = 8  # rounds of new options at the slope that the last ones gave
CLOSE = 1e-4  # relative distance of loss and bound at which no more are made


@dataclass(frozen=True)
class Plan:
    """Option of each tensor, and how far the plan is from the best.

    ``loss`` is what the plan minimises: the sum of squared errors, weighted by the importance, or,
    without one, each tensor's over its sum of squares; ``bound`` is the proven least of it (of the
    bytes, if the error is limited) over all choices among the curves.
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


def _points(found: Mapping[str, Candidates], in_bytes: bool) -> list[Any]:
    """Cost and loss of all options, tensor by tensor."""
    columns = ("nbytes", "loss") if in_bytes else ("loss", "nbytes")
    return [
        np.array([[float(getattr(o, c)) for c in columns] for o in one.options])
        for one in found.values()
    ]


def _within(found: Mapping[str, Candidates], limit: float, in_bytes: bool) -> Plan | None:
    """Best plan within a limit on bytes, or on loss; options are added where they help."""
    result: Allocation | None = None
    for _ in range(COLUMNS):
        result = allocate(_points(found, in_bytes), limit)
        before = sum(len(one.known) for one in found.values())
        if result is None or result.slope <= 0.0:
            break
        for one in found.values():
            one.extend(result.slope if in_bytes else 1.0 / result.slope)
        if sum(len(one.known) for one in found.values()) == before:
            break
        better = allocate(_points(found, in_bytes), limit)
        if better is not None and better.loss >= (1.0 - CLOSE) * result.loss:
            result = better
            break
    if result is None:
        return None
    result = refined(_points(found, in_bytes), limit, result)
    chosen = zip(found.items(), result.chosen, strict=True)
    return Plan({n: one.options[i] for (n, one), i in chosen}, result.loss, result.bound)


def within_bytes(found: Mapping[str, Candidates], limit: float) -> Plan | None:
    """Plan of least loss in so many bytes; None if there is none."""
    return _within(found, limit, True)


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
            least = max(min(o.loss for o in one.options) / one.energy for one in group.values())
            raise ValueError(
                f"a relative error of {share:g} is out of reach for {next(iter(group))!r}"
                f"{' and others' if len(group) > 1 else ''} (least there: {least:.2g}); raise it, "
                "or exclude such tensors"
            )
        options |= plan.options
        sums = [sums[0] + plan.loss, sums[1] + plan.bound]
    return Plan({name: options[name] for name in found}, *sums)


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
    room = limit - overhead(Plan(least))
    while (plan := within_bytes(found, room)) is not None:
        excess = plan.nbytes + overhead(plan) - limit
        if excess <= 0:
            return plan
        room = plan.nbytes - excess
    smallest = Plan(least)
    size = smallest.nbytes + overhead(smallest)
    if size <= limit:
        return smallest
    raise ValueError(
        f"{limit} bytes cannot be reached: the smallest file with these settings has {size}; raise "
        "the budget, compress more tensors, or use entropy coding"
    )
