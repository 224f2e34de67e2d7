"""Arrays in, codes out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvq.arrays import checked_weight
from solvq.code import Code
from solvq.scalar._assign import assign, assign_cells, without_repeats
from solvq.scalar._base import ScalarQuantizer, Solution
from solvq.scalar._certificate import Certificate, certify
from solvq.scalar._kernels import Float64
from solvq.scalar._methods import METHODS
from solvq.scalar._partition import solve
from solvq.scalar._reduce import Problem, checked, reduce
from solvq.scalar._target import checked_target, smallest_code, targets

DEFAULT = 16  # values where neither a count nor a target is given


def make_quantizer(method: str, n_values: int, parameters: dict[str, Any]) -> ScalarQuantizer:
    """Quantizer of a name of `METHODS` with checked parameters.

    Raises
    ------
    ValueError
        If the name or a parameter is unknown, or a value out of range.
    """
    if method not in METHODS:
        raise ValueError(f"method is {method!r}; choose one of {', '.join(sorted(METHODS))}")
    kind = METHODS[method]
    allowed = set(kind._get_param_names()) - {"n_values"}
    if unknown := sorted(set(parameters) - allowed):
        raise ValueError(
            f"method {method!r} has no parameter {', '.join(unknown)}; "
            f"it has {', '.join(['n_values', *sorted(allowed)])}"
        )
    quantizer = kind(n_values=n_values, **parameters)
    quantizer._check_parameters()
    return quantizer


def rounded(codebook: Float64, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Entries of a codebook in the dtype of the data."""
    return (np.rint(codebook) if dtype.kind in "iu" else codebook).astype(dtype)


def quantize(
    x: Any,
    n_values: int | None = None,
    method: str = "optimal",
    sample_weight: Any = None,
    max_error: float | None = None,
    psnr: float | None = None,
    **parameters: Any,
) -> Code:
    """Store an array as indices into few shared values.

    The default method minimises the (weighted) mean of squared errors over all codebooks of
    ``n_values`` values; the others of `solvq.scalar.METHODS` are there to be compared with it.

    Parameters
    ----------
    x : array_like of any shape, or torch tensor
        Finite numbers: float16, float32, float64, bfloat16 and the 8-bit floats of ``ml_dtypes``,
        or integers.
    n_values : int, optional
        Wanted number of shared values; 16 if there is no target either.
    method : str, default "optimal"
        Name in `solvq.scalar.METHODS`.
    sample_weight : array_like of the shape of ``x``, optional
        Nonnegative weights of the squared errors.
    max_error : float, optional
        In place of ``n_values``: the fewest values whose weighted mean of squared errors, the
        `Code.distortion`, is at most this. It is in the units of ``x`` squared.
    psnr : float, optional
        In place of ``n_values``: as ``max_error = peak**2 / 10**(psnr / 10)``. ``peak`` is 255 for
        uint8, 65535 for uint16, and for other dtypes the largest less the smallest of ``x``.
    **parameters
        Further parameters of the method.

    Returns
    -------
    Code
        ``decode()`` has the shape and dtype of ``x`` (NumPy arrays also for tensors). The
        codebook is ascending and in the dtype of ``x``: the optimum is found in float64 and then
        rounded to it, so entries that coincide there are merged, and for integers the values are
        integers. Each number has the index of the nearest entry, the lower one on ties, or, if the
        method has cells of its own (`entropy`), of its cell.

    Raises
    ------
    ValueError
        If ``x`` is empty or has NaN or infinite values, or an argument is out of range.
    TypeError
        If ``x`` does not hold real numbers of at most 64 bits.

    Notes
    -----
    With a target, every smaller count is excluded by the proven lower bound of its error. Where
    the dtype of ``x`` is coarse, rounding the table can miss a target that the optimum meets; then
    more values are taken until the rounded table meets it. The target is always met: as many
    values as there are distinct numbers have no error.

    Examples
    --------
    >>> import numpy as np, solvq
    >>> code = solvq.quantize(np.array([0.0, 0.1, 0.9, 1.0, 5.0]), n_values=3)
    >>> code.codebook.round(2), code.indices
    (array([0.05, 0.95, 5.  ]), array([0, 0, 1, 1, 2], dtype=uint8))
    """
    if max_error is not None or psnr is not None:
        checked_target(max_error, psnr, n_values)
        if method != "optimal" or parameters:
            raise ValueError(
                f"method is {method!r} with {sorted(parameters) or 'no parameters'}; max_error and "
                "psnr need the exact optimum: give neither method nor parameters"
            )
        return _fewest(x, sample_weight, max_error, psnr)
    count = DEFAULT if n_values is None else n_values
    return _solved(x, sample_weight, make_quantizer(method, count, parameters))[0]


def _fewest(x: Any, sample_weight: Any, max_error: float | None, psnr: float | None) -> Code:
    """Code of the fewest values that meet a target."""
    data = checked(x)
    weight = checked_weight(sample_weight, data.shape)
    problem = reduce(data, weight)
    shaped = None if weight is None else weight.reshape(data.shape)
    target, error = targets(data, problem, max_error, psnr)

    def make(codebook: Float64) -> Code:
        table = rounded(codebook, data.dtype)
        return Code(table, assign(data, table))

    def meets(code: Code) -> bool:
        with np.errstate(over="ignore", under="ignore"):
            return code.distortion(data, shaped) <= error

    return smallest_code(problem, target * float(problem.weights.sum()), make, meets)


def _solved(
    x: Any, sample_weight: Any, quantizer: ScalarQuantizer
) -> tuple[Code, Problem, Solution]:
    """Code of an array, with the problem that it solves and the solution before rounding."""
    data = checked(x)
    problem = reduce(data, checked_weight(sample_weight, data.shape))
    solution = quantizer._solve_problem(problem)
    table, edges = without_repeats(rounded(solution.codebook, data.dtype), solution.edges)
    indices = assign(data, table) if edges is None else assign_cells(data, edges)
    return Code(table, indices), problem, solution._replace(edges=edges)


def quantize_certified(
    x: Any,
    n_values: int = 16,
    method: str = "optimal",
    sample_weight: Any = None,
    **parameters: Any,
) -> tuple[Code, Certificate]:
    """`quantize`, together with the certificate of its codebook, for the price of one solve.

    Parameters, errors and the code are those of `quantize`. The bound of the certificate is for
    the values that the method found, before they were rounded to the dtype of ``x``.
    """
    return proved_code(x, sample_weight, make_quantizer(method, n_values, parameters))[:2]


def proved_code(
    x: Any, sample_weight: Any, quantizer: ScalarQuantizer
) -> tuple[Code, Certificate, Problem]:
    """Code of an array, its certificate, and the problem that was solved."""
    code, problem, solution = _solved(x, sample_weight, quantizer)
    bound = solution.lower_bound
    if bound is None:
        bound = solve(problem.values, problem.weights, solution.codebook.size).lower_bound
    proof = certify(problem, code.codebook.astype(np.float64), bound, solution.edges)
    return code, proof, problem
