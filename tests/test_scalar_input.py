"""Bad input is refused at the border with the reason, and tensors are taken as they are."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from solvq import certificate
from solvq.scalar import METHODS, OptimalQuantizer, quantize, quantize_rows

GOOD = np.array([[1.0, 2.0, 3.0, 4.0]])
FLOATS = [np.float16, np.float32, np.float64, ml_dtypes.bfloat16]
FLOATS += [ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2]
MASKED = np.ma.masked_array(GOOD, GOOD > 3)

BAD_DATA: dict[str, Any] = {
    "empty": (np.zeros((0, 3)), ValueError, "empty"),
    "empty row": (np.zeros((1, 0)), ValueError, r"empty \(shape \(1, 0\)\)"),
    "object": (GOOD.astype(object), TypeError, "dtype object"),
    "none": (np.array([[None]]), TypeError, "dtype object"),
    "str": (np.array([["a", "b"]]), TypeError, "dtype <U1"),
    "bytes": (np.array([[b"a"]]), TypeError, "dtype |S1"),
    "complex": (GOOD * 1j, TypeError, "dtype complex128"),
    "bool": (GOOD > 2, TypeError, "dtype bool"),
    "longdouble": (GOOD.astype(np.longdouble), TypeError, "at most 64 bits"),
    "datetime": (GOOD.astype("M8[s]"), TypeError, "dtype datetime64"),
    "masked": (MASKED, TypeError, "masked array"),
    "int64": (np.array([[2**53 + 1, 0]]), ValueError, r"2\*\*53"),
    "negative int64": (np.array([[-(2**53) - 1, 0]]), ValueError, r"2\*\*53"),
    "uint64": (np.array([[2**64 - 1, 0]], np.uint64), ValueError, r"2\*\*53"),
}
BAD_ARGUMENTS: dict[str, Any] = {
    "zero": ({"n_values": 0}, ValueError, "n_values is 0"),
    "negative": ({"n_values": -1}, ValueError, "n_values is -1"),
    "float": ({"n_values": 2.5}, TypeError, "n_values is 2.5"),
    "whole float": ({"n_values": 2.0}, TypeError, "n_values is 2.0"),
    "bool": ({"n_values": True}, TypeError, "n_values is True"),
    "string": ({"n_values": "3"}, TypeError, "n_values is '3'"),
    "method": ({"method": "best"}, ValueError, "method is 'best'.*kmeans.*optimal.*uniform"),
    "parameter": ({"depth": 3}, ValueError, "no parameter depth; it has n_values"),
    "of another": ({"n_init": 3}, ValueError, "no parameter n_init"),
}
BAD_WEIGHTS: dict[str, Any] = {
    "negative": (np.array([[1.0, -1.0, 1.0, 1.0]]), "negative"),
    "nan": (np.array([[1.0, np.nan, 1.0, 1.0]]), "non-finite"),
    "infinite": (np.array([[1.0, np.inf, 1.0, 1.0]]), "non-finite"),
    "zero": (np.zeros((1, 4)), "zero everywhere"),
    "shape": (np.ones((4, 1)), r"shape \(4, 1\); x has \(1, 4\)"),
    "scalar": (1.0, r"shape \(\)"),
}


def verbs(x: Any, **arguments: Any) -> dict[str, Any]:
    """Each way into the package, called on the same data."""
    return {
        "quantize": lambda: quantize(x, **arguments),
        "quantize_rows": lambda: quantize_rows(x, **arguments),
        "certificate": lambda: certificate(x, [0.0, 1.0], **arguments),
    }


every_verb = pytest.mark.parametrize("verb", ["quantize", "quantize_rows", "certificate"])
arrays = pytest.mark.parametrize("verb", ["quantize", "quantize_rows"])


@every_verb
@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data(verb: str, case: str) -> None:
    """Data that are no real numbers, or not exact in float64, are refused by dtype or range."""
    x, error, phrase = BAD_DATA[case]
    with pytest.raises(error, match=phrase):
        verbs(x)[verb]()


@every_verb
@pytest.mark.parametrize("dtype", FLOATS, ids=lambda d: np.dtype(d).name)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_not_finite(verb: str, dtype: Any, value: float, weighted: bool) -> None:
    """NaN and infinity are counted and refused in every float dtype."""
    with np.errstate(invalid="ignore"):
        x = np.array([[1.0, value, 2.0, value]]).astype(dtype)
    arguments = {"sample_weight": np.ones((1, 4))} if weighted else {}
    with pytest.raises(ValueError, match="2 NaN or infinite values among 4"):
        verbs(x, **arguments)[verb]()


@every_verb
@pytest.mark.parametrize("dtype", FLOATS, ids=lambda d: np.dtype(d).name)
def test_not_finite_without_weight(verb: str, dtype: Any) -> None:
    """NaN is refused also where its weight is zero: it has no nearest value."""
    with np.errstate(invalid="ignore"):
        x = np.array([[1.0, np.nan, 2.0]]).astype(dtype)
    with pytest.raises(ValueError, match="1 NaN or infinite value among 3"):
        verbs(x, sample_weight=np.array([[1.0, 0.0, 1.0]]))[verb]()


@arrays
@pytest.mark.parametrize("case", BAD_ARGUMENTS)
def test_bad_arguments(verb: str, case: str) -> None:
    """Counts, methods and parameters are checked, also where the data would need none."""
    arguments, error, phrase = BAD_ARGUMENTS[case]
    for x in (GOOD, GOOD[:, :1]):
        with pytest.raises(error, match=phrase):
            verbs(x, **arguments)[verb]()


def test_rows_need_a_count() -> None:
    """None stands for the default count of `quantize` alone."""
    assert quantize(np.arange(99.0), None).codebook.size == 16
    with pytest.raises(TypeError, match="n_values is None"):
        quantize_rows(GOOD, None)  # type: ignore[arg-type]


@every_verb
@pytest.mark.parametrize("case", BAD_WEIGHTS)
def test_bad_weights(verb: str, case: str) -> None:
    """Weights are nonnegative, finite, not all zero, and of the shape of the data."""
    weight, phrase = BAD_WEIGHTS[case]
    with pytest.raises(ValueError, match=phrase):
        verbs(GOOD, sample_weight=weight)[verb]()


@pytest.mark.parametrize("case", BAD_WEIGHTS)
def test_bad_weights_of_the_estimator(case: str) -> None:
    """``fit`` refuses the same weights, one for each row."""
    weight = np.asarray(BAD_WEIGHTS[case][0])
    weight = weight.reshape(4) if weight.shape == (1, 4) else weight
    with pytest.raises(ValueError, match="sample_weight"):
        OptimalQuantizer().fit(GOOD.T, sample_weight=weight)


@pytest.mark.parametrize("case", ["zero", "negative", "float", "bool", "string"])
@pytest.mark.parametrize("kind", METHODS.values(), ids=list(METHODS))
def test_bad_counts_of_the_estimator(kind: Any, case: str) -> None:
    """``fit`` refuses the same counts."""
    arguments, error, phrase = BAD_ARGUMENTS[case]
    with pytest.raises(error, match=phrase):
        kind(**arguments).fit(GOOD)


def test_bad_codebooks() -> None:
    """A certificate needs finite entries."""
    for table in ([], [np.nan], [1.0, np.inf]):
        with pytest.raises(ValueError, match="codebook is empty or not finite"):
            certificate(GOOD, table)


@pytest.mark.parametrize("shape", [(4,), (1, 2, 2), ()])
def test_rows_need_a_matrix(shape: tuple[int, ...]) -> None:
    """Rows are those of two dimensions."""
    with pytest.raises(ValueError, match="give a matrix"):
        quantize_rows(np.ones(shape))


def test_numpy_integers_count() -> None:
    """Any integer type is a count."""
    for dtype in ("i8", "u1"):
        two: Any = np.array([2], dtype)[0]
        assert quantize(GOOD, two).codebook.size == 2
        assert quantize_rows(GOOD, two).codebooks.shape == (1, 2)


def test_largest_exact_integers() -> None:
    """Integers up to 2**53 are taken."""
    x = np.array([[2**53, -(2**53), 0]])
    assert np.array_equal(quantize(x, 3).decode(), x)
    assert np.array_equal(quantize_rows(x, 3).decode(), x)


@pytest.mark.parametrize("name", ["float32", "float64", "float16", "bfloat16", "float8_e4m3fn"])
def test_tensors(name: str) -> None:
    """Tensors of any float dtype, with gradients or strides, equal the array of their numbers."""
    torch = pytest.importorskip("torch")
    values = torch.tensor([[0.5, 1.0, 8.0], [9.0, 0.75, 1.0]])
    tensor = values.to(getattr(torch, name))
    array = values.numpy().astype(getattr(ml_dtypes, name, name))
    variants = [tensor, tensor.T.contiguous().T, torch.cat([tensor, tensor], 1)[:, :3]]
    if name.startswith(("float3", "float6")):
        variants.append(tensor.clone().requires_grad_())
    expected = quantize(array, 3)
    for variant in variants:
        code = quantize(variant, 3)
        assert code.dtype == array.dtype
        assert np.array_equal(code.decode(), expected.decode())
        assert np.array_equal(code.indices, expected.indices)
        rows = quantize_rows(variant, 2)
        assert np.array_equal(rows.decode(), quantize_rows(array, 2).decode())
        assert certificate(variant, code.codebook) == certificate(array, expected.codebook)


def test_tensor_weights_and_integers() -> None:
    """Weights may be tensors; integer and scalar tensors are data as well."""
    torch = pytest.importorskip("torch")
    x, w = torch.tensor([0.0, 1.0, 10.0]), torch.tensor([3.0, 1.0, 1.0], dtype=torch.bfloat16)
    assert np.array_equal(quantize(x, 2, sample_weight=w).codebook, [0.25, 10.0])
    assert quantize(torch.tensor([1, 2, 9], dtype=torch.int16), 2).dtype == np.int16
    assert quantize(torch.tensor(4.0)).shape == ()


def test_bad_tensors() -> None:
    """Tensors are refused as arrays are."""
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match="dtype bool"):
        quantize(torch.tensor([True, False]))
    with pytest.raises(TypeError, match="dtype complex64"):
        quantize(torch.tensor([1j]))
    with pytest.raises(ValueError, match="1 NaN or infinite value"):
        quantize(torch.tensor([1.0, torch.nan], dtype=torch.bfloat16))


def test_parameters_are_checked_whatever_the_data() -> None:
    """Bad parameters raise even where the data would not need them."""
    with pytest.raises(ValueError, match="n_init"):
        quantize([1.0, 2.0], 3, "kmeans", n_init=0)
