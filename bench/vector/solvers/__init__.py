"""Solvers of the exact problem that differentiate. Needs torch; other packages only when run.

Adding one: one file, one line in `solvers`.
"""

from bench.vector.method import Method
from bench.vector.solvers.cvxpylayers import Cvxpylayers
from bench.vector.solvers.qpth import Qpth
from bench.vector.solvers.solvq import Ours

ALPHA = 0.1
YARDSTICK = "solvq 1e-3"
"""What the times of the others are divided by."""


def solvers() -> dict[str, Method]:
    """Every solver by name, in the order of the tables."""
    rows: list[Method] = [
        Ours(YARDSTICK, ALPHA, 1e-3),
        Ours("solvq 1e-3 (few)", ALPHA, 1e-3, few=True),
        Ours("solvq 1e-6", ALPHA, 1e-6),
        Ours("solvq float64", ALPHA, 1e-9, double=True),
        Qpth(ALPHA),
        Cvxpylayers("cvxpylayers", ALPHA),
        Cvxpylayers("cvxpylayers tight", ALPHA, tight=True),
    ]
    return {row.name: row for row in rows}
