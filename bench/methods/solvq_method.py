"""An entry of solvq's own table of scalar methods, with labels in the dtype of the data."""

from typing import Any, final

from bench.methods._base import SLOW_TABLE, Fit, Method
from bench.problem import Array, Problem


@final
class SolvqMethod(Method):
    """`solvq.quantize` with a method of `solvq.scalar.METHODS` at its defaults or parameters."""

    package = "solvq"
    module = "solvq.scalar"
    accepts_weights = True
    accepts_bfloat16 = True

    def __init__(self, method: str, exact: bool = False, **parameters: Any) -> None:
        self.method = method
        self.exact = exact
        self.parameters = parameters
        self.name = "-".join(["solvq", method, *parameters])

    def limit(self, problem: Problem) -> str | None:
        """Refuse random restarts that take minutes unless they are wanted."""
        slow = "random_state" in self._allowed() and problem.size * problem.n_values > SLOW_TABLE
        return "may take minutes; pass --slow" if slow and not problem.allow_slow else None

    def _allowed(self) -> Any:
        """Names of the method's parameters."""
        return self.library().METHODS[self.method]().get_params()

    def run(self, x: Array, n_values: int, weights: Array | None, seed: int = 0) -> Fit:
        """Fit and label in one call."""
        parameters = dict(self.parameters)
        if "random_state" in self._allowed():
            parameters["random_state"] = seed
        code = self.library().quantize(x, n_values, self.method, weights, **parameters)
        return Fit(code.codebook, code.indices)
