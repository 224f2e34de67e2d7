"""`Code`: decoding, size in bits, and distortion, on examples worked out by hand."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from solvq import Code
from solvq.code import CHUNK, index_bits, index_dtype

SCALAR = Code(np.array([0.0, 1.0, 4.0], np.float32), np.array([[0, 0, 1], [2, 0, 1]]))
ONE = np.array([1.0])
TABLE = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]])


def mixture() -> Code:
    """Two vectors, each mixing two of three entries with weights of a table of four."""
    shares = Code(np.array([0.0, 0.25, 0.5, 0.75]), np.array([[1, 3], [2, 2]]))
    return Code(TABLE, np.array([[0, 1], [2, 0]]), shares)


@pytest.mark.parametrize(
    ("n", "bits", "dtype"),
    [
        (1, 0, "u1"),
        (2, 1, "u1"),
        (3, 2, "u1"),
        (256, 8, "u1"),
        (257, 9, "u2"),
        (65536, 16, "u2"),
        (65537, 17, "u4"),
        (2**32, 32, "u4"),
        (2**32 + 1, 33, "u8"),
    ],
)
def test_index_bits_and_dtype(n: int, bits: int, dtype: str) -> None:
    """Fixed-length bits and the smallest dtype at every border."""
    assert index_bits(n) == bits
    assert index_dtype(n) == np.dtype(dtype)


@pytest.mark.parametrize("size", [256, 257, 65536, 65537])
def test_indices_take_the_smallest_dtype(size: int) -> None:
    """Stored indices are as narrow as the codebook allows and keep their values."""
    code = Code(np.arange(float(size)), np.array([0, size - 1]))
    assert code.indices.dtype == index_dtype(size)
    assert np.array_equal(code.indices, [0, size - 1])
    assert np.array_equal(code.decode(), [0.0, size - 1.0])


def test_scalar_code() -> None:
    """Shape, dtype, numbers, bits, rate and entropy of a scalar code."""
    assert SCALAR.shape == (2, 3)
    assert SCALAR.dtype == SCALAR.decode().dtype == np.float32
    assert np.array_equal(SCALAR.decode(), [[0, 0, 1], [4, 0, 1]])
    assert SCALAR.nbits == 6 * 2 + 3 * 32
    assert SCALAR.rate == 108 / 6
    assert SCALAR.entropy == pytest.approx(0.5 + np.log2(3) / 3 + np.log2(6) / 6)


@pytest.mark.parametrize(
    ("indices", "entropy"),
    [([0, 0, 1, 2], 1.5), ([0, 1], 1.0), ([3, 3, 3], 0.0), ([0, 1, 2, 3], 2.0)],
)
def test_entropy(indices: list[int], entropy: float) -> None:
    """Empirical entropy of the indices, exact for dyadic shares."""
    assert Code(np.arange(4.0), np.array(indices)).entropy == entropy


def test_single_entry_needs_no_bits() -> None:
    """One entry is stored without indices."""
    code = Code(np.array([2.0]), np.zeros((4, 2), int))
    assert code.nbits == 64
    assert code.rate == 8.0
    assert code.entropy == 0.0


def test_vector_code() -> None:
    """A vector codebook adds an axis; the rate counts numbers, the entropy indices."""
    code = Code(TABLE.astype(np.float16), np.array([[2, 0, 0, 1]]))
    assert code.shape == (1, 4, 2)
    assert np.array_equal(code.decode(), [[[3, 3], [1, 0], [1, 0], [0, 2]]])
    assert code.nbits == 4 * 2 + 6 * 16
    assert code.rate == 104 / 8
    assert code.entropy == 1.5
    assert code.distortion(np.zeros((1, 4, 2))) == (18 + 1 + 1 + 4) / 8


def test_sparse_convex_code() -> None:
    """Decoding mixes the listed entries; the bits of indices, table and weights add up."""
    code = mixture()
    shares = code.weights.decode()  # type: ignore[union-attr]
    assert code.shape == (2, 2)
    assert np.array_equal(code.decode(), np.einsum("nl,nld->nd", shares, TABLE[code.indices]))
    assert np.array_equal(code.decode(), [[0.25, 1.5], [2.0, 1.5]])
    assert code.nbits == (4 * 2 + 6 * 64) + (4 * 2 + 4 * 64)
    assert code.rate == code.nbits / 4
    assert code.distortion(np.zeros((2, 2))) == (0.25**2 + 1.5**2 + 2.0**2 + 1.5**2) / 4


@pytest.mark.parametrize("dtype", [np.float16, np.float32, ml_dtypes.bfloat16])
def test_sparse_convex_code_keeps_the_dtype(dtype: Any) -> None:
    """The dtype of the codebook is that of the decoded vectors."""
    code = Code(TABLE.astype(dtype), mixture().indices, mixture().weights)
    assert code.decode().dtype == dtype
    assert np.array_equal(code.decode().astype(float), [[0.25, 1.5], [2.0, 1.5]])


def test_zero_dimensional_code() -> None:
    """A single number is a code of shape ()."""
    code = Code(np.array([1.0, 2.0]), np.array(1))
    assert code.shape == ()
    assert code.decode() == 2.0
    assert code.decode().shape == ()
    assert code.nbits == 1 + 2 * 64
    assert code.rate == 129.0
    assert code.distortion(5.0) == code.distortion(5.0, 3.0) == 9.0


def test_empty_code() -> None:
    """Nothing stored has no rate, entropy or distortion, but a table and a shape."""
    code = Code(np.array([1.0, 2.0]), np.zeros((0, 3), int))
    assert code.decode().shape == code.shape == (0, 3)
    assert code.nbits == 128
    assert np.isnan(code.rate)
    assert np.isnan(code.entropy)
    with pytest.raises(ValueError, match="non-empty"):
        code.distortion(np.zeros((0, 3)))


def test_frozen() -> None:
    """Neither fields nor arrays of a code can be changed; the arrays given stay writeable."""
    codebook, indices = np.array([1.0, 2.0]), np.array([0, 1], np.uint8)
    code = Code(codebook, indices)
    with pytest.raises(dataclasses.FrozenInstanceError):
        code.codebook = codebook  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        code.codebook[0] = 3.0
    with pytest.raises(ValueError, match="read-only"):
        code.indices[0] = 1
    assert codebook.flags.writeable
    assert indices.flags.writeable


def test_lists_are_arrays() -> None:
    """Nested numbers are taken as arrays."""
    assert np.array_equal(Code([1.0, 2.0], [[1], [0]]).decode(), [[2.0], [1.0]])  # type: ignore[arg-type]


@pytest.mark.parametrize("code", [SCALAR, mixture()], ids=["scalar", "mixture"])
def test_copies(code: Code) -> None:
    """Codes survive copying and pickling."""
    for same in (copy.deepcopy(code), pickle.loads(pickle.dumps(code))):
        assert np.array_equal(same.decode(), code.decode())
        assert same.nbits == code.nbits


def test_distortion() -> None:
    """Mean of squared errors, plain and weighted, also for arrays that are not contiguous."""
    x = np.array([[1.0, 0.0, 1.0], [2.0, 0.0, 3.0]])
    w = np.array([[1.0, 5.0, 0.0], [1.0, 0.0, 3.0]])
    assert SCALAR.distortion(x) == (1 + 4 + 4) / 6
    assert SCALAR.distortion(x, w) == (1 + 4 + 3 * 4) / 10
    assert SCALAR.distortion(x.tolist(), w.tolist()) == 1.7
    assert SCALAR.distortion(np.asfortranarray(x), np.asfortranarray(w)) == 1.7


def test_distortion_of_vectors_with_weights() -> None:
    """Weights of a vector code stand beside every number."""
    code = Code(TABLE, np.array([0, 2]))
    assert code.distortion(np.zeros((2, 2)), [[1.0, 1.0], [0.0, 2.0]]) == (1 + 18) / 4


def test_distortion_in_chunks() -> None:
    """Long codes are summed piece by piece."""
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=CHUNK + 7), rng.random(CHUNK + 7)
    code = Code(np.array([-1.0, 1.0]), (x > 0).astype(int))
    error = (code.decode() - x) ** 2
    assert code.distortion(x) == pytest.approx(error.mean(), rel=1e-12)
    assert code.distortion(x, w) == pytest.approx(np.average(error, weights=w), rel=1e-12)


def test_distortion_is_computed_in_float64() -> None:
    """Unsigned and half-precision numbers neither wrap around nor overflow."""
    code = Code(np.array([250], np.uint8), np.array([0]))
    assert code.distortion(np.array([255], np.uint8)) == 25.0
    half = Code(np.array([-6e4], np.float16), np.array([0]))
    assert half.distortion(np.array([6e4], np.float16)) == (2 * 60000.0) ** 2
    assert Code(np.array([1], ml_dtypes.bfloat16), np.array([0])).distortion([3.0]) == 4.0


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_distortion_of_tensors(name: str) -> None:
    """Tensors that can be quantized can be compared, gradients and all."""
    torch = pytest.importorskip("torch")
    x = torch.tensor([1.0, 4.0], dtype=getattr(torch, name), requires_grad=True)
    code = Code(np.array([2.0]), np.zeros(2, int))
    assert code.distortion(x) == 2.5
    assert code.distortion(x, x) == (1.0 + 4.0 * 4.0) / 5.0


@pytest.mark.parametrize(
    ("codebook", "indices", "weights", "error", "phrase"),
    [
        (1.0, [0], None, ValueError, r"codebook has shape \(\)"),
        (np.zeros(0), np.zeros(0, int), None, ValueError, r"shape \(0,\).*K >= 1"),
        (np.zeros((1, 1, 1)), [0], None, ValueError, r"shape \(1, 1, 1\)"),
        ([1.0, 2.0], [0.0, 1.0], None, TypeError, "dtype float64; give integers"),
        ([1.0, 2.0], [True, False], None, TypeError, "dtype bool; give integers"),
        ([1.0, 2.0], [0, 2], None, ValueError, r"span 0\.\.2; .* 2 entries allows 0\.\.1"),
        ([1.0, 2.0], [-1, 1], None, ValueError, r"span -1\.\.1"),
        (TABLE, [[0, 1]], np.ones((1, 2)), TypeError, "weights must be a Code"),
        (TABLE, [[0, 1]], Code(TABLE, np.array([0])), TypeError, "scalar codebook"),
        ([1.0, 2.0], [[0, 1]], Code(ONE, np.zeros((1, 2), int)), ValueError, r"\(K, D\)"),
        (TABLE, [[0, 1]], Code(ONE, np.zeros(2, int)), ValueError, r"shape \(2,\).*\(1, 2\)"),
        (TABLE, 0, Code(ONE, np.array(0)), ValueError, "same shape"),
    ],
)
def test_parts_that_do_not_fit(
    codebook: Any, indices: Any, weights: Any, error: type[Exception], phrase: str
) -> None:
    """Each error names what was given and what is allowed."""
    with pytest.raises(error, match=phrase):
        Code(codebook, indices, weights)


@pytest.mark.parametrize(
    ("x", "weight", "phrase"),
    [
        (np.zeros((3, 2)), None, r"shape \(3, 2\); the code decodes to \(2, 3\)"),
        (np.zeros((2, 3)), np.ones(3), r"sample_weight has shape \(3,\); x has \(2, 3\)"),
        (np.zeros((2, 3)), np.zeros((2, 3)), "sample_weight is zero everywhere"),
        (np.zeros((2, 3)), -np.ones((2, 3)), "sample_weight has negative"),
        (np.zeros((2, 3)), np.full((2, 3), np.nan), "sample_weight has .*non-finite"),
    ],
    ids=["x", "weight", "zero weight", "negative weight", "nan weight"],
)
def test_distortion_of_unfit_arrays(x: Any, weight: Any, phrase: str) -> None:
    """Shapes are compared and weights must not vanish."""
    with pytest.raises(ValueError, match=phrase):
        SCALAR.distortion(x, weight)
