"""The table of objectives."""

from __future__ import annotations

from solvq.train._adversarial import AdversarialObjective
from solvq.train._objective import LogSquaredObjective, Objective, SquaredObjective

OBJECTIVES: dict[str, type[Objective]] = {
    "mse": SquaredObjective,
    "log-mse": LogSquaredObjective,
    "adversarial": AdversarialObjective,
}
