"""Lossless coding of words: exact for any bytes, near the entropy for weights, never longer."""

from __future__ import annotations

import contextlib
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from solvq.checkpoint._lossless import pack_lossless, unpack_lossless
from tests.strategies import INTERPRETED

MANY = 2_000 if INTERPRETED else 200_000
DTYPES = [
    ml_dtypes.bfloat16,
    np.float16,
    np.float32,
    np.float64,
    ml_dtypes.float8_e4m3fn,
    np.int8,
    np.int16,
    np.int32,
    np.int64,
    np.complex128,
]


def weights(dtype: Any, n: int = MANY) -> NDArray[Any]:
    """Normal weights of a layer; integers around zero."""
    x = np.random.default_rng(0).normal(0, 0.02, n)
    return x.astype(dtype) if np.dtype(dtype).kind not in "iu" else np.rint(x * 1500).astype(dtype)


def bits_per_number(x: NDArray[Any]) -> float:
    """Bits of a number in its stream, which must come back."""
    raw = x.view(np.uint8)
    stream = pack_lossless(raw, x.itemsize)
    np.testing.assert_array_equal(unpack_lossless(stream, raw.size, x.itemsize), raw)
    return 8 * stream.size / x.size


@st.composite
def contents(draw: st.DrawFn) -> tuple[NDArray[np.uint8], int]:
    """Bytes of numbers of any size: any, of few values, or nearly all equal."""
    itemsize, count = draw(st.sampled_from([1, 2, 3, 4, 8, 16])), draw(st.integers(0, 400))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    table = rng.integers(0, 256, (draw(st.sampled_from([1, 2, 40, 1000])), itemsize))
    skewed = rng.random(count) ** draw(st.sampled_from([1, 8])) * len(table)
    return table[skewed.astype(int)].astype(np.uint8).reshape(-1), itemsize


@given(contents())
def test_any_bytes_come_back(given: tuple[NDArray[np.uint8], int]) -> None:
    """Exactly, in at most one byte more."""
    raw, itemsize = given
    stream = pack_lossless(raw, itemsize)
    assert stream.size <= raw.size + 1
    np.testing.assert_array_equal(unpack_lossless(stream, raw.size, itemsize), raw)


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: np.dtype(dtype).name)
def test_weights_of_every_dtype(dtype: Any) -> None:
    """All come back, and none of these is noise throughout."""
    assert bits_per_number(weights(dtype)) < 8 * np.dtype(dtype).itemsize


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float16, np.float32, np.float64])
def test_special_values_come_back(dtype: Any) -> None:
    """Payloads of NaN, negative zero, infinities, subnormal numbers: patterns of bits are kept."""
    width = 8 * np.dtype(dtype).itemsize
    one = 1 << (width - 1)
    patterns = [0, one, one - 1, 2 * one - 1, one - 5, 1, one + 1, 0x7C01, 0x7F81, 0xFC00, 3]
    x = np.array(patterns * 30, f"<u{width // 8}")
    mixed = np.concatenate([x, weights(dtype, 3000).view(x.dtype)])
    assert bits_per_number(x) < width
    assert bits_per_number(mixed) < width


def test_bfloat16_is_near_its_entropy() -> None:
    """The entropy of the patterns of normal weights, of which a little is the table."""
    x = weights(ml_dtypes.bfloat16)
    counts = np.unique(x.view(np.uint16), return_counts=True)[1]
    entropy = -(counts * np.log2(counts / x.size)).sum() / x.size
    assert bits_per_number(x) <= min(11.0, entropy + (1.0 if INTERPRETED else 0.1))


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float16, np.float32, np.float64])
def test_few_distinct_values_are_indices(dtype: Any) -> None:
    """Sixteen equally frequent values take four bits each."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=16).astype(dtype)[rng.integers(0, 16, MANY)]
    assert bits_per_number(x) <= 4.01 + 8 * 300 / x.size


def test_unused_low_bits_cost_nothing() -> None:
    """Half-precision weights stored as float32 take about what they take in half precision."""
    half = weights(ml_dtypes.bfloat16)
    assert bits_per_number(half.astype(np.float32)) <= bits_per_number(half) + 1000 / MANY + 0.5


def test_noise_is_left_alone() -> None:
    """Nothing to gain, a byte spent."""
    raw = np.random.default_rng(0).integers(0, 256, 8 * (MANY // 8)).astype(np.uint8)
    for itemsize in (1, 2, 4, 8):
        assert pack_lossless(raw, itemsize).size == raw.size + 1


def test_stream_does_not_depend_on_threads() -> None:
    """Nor does what comes back."""
    raw = weights(np.float32).view(np.uint8)
    one = pack_lossless(raw, 4, n_jobs=1)
    np.testing.assert_array_equal(one, pack_lossless(raw, 4, n_jobs=3))
    np.testing.assert_array_equal(unpack_lossless(one, raw.size, 4, n_jobs=3), raw)


def samples() -> list[tuple[NDArray[np.uint8], NDArray[np.uint8], int]]:
    """Streams of every form, what they stand for, and the size of a number."""
    few = np.array([1.5, -2.0, 7.0], np.float32)[np.arange(90) % 3]
    found = []
    for x in (weights(ml_dtypes.bfloat16, 300), weights(np.float32, 200), few):
        raw = x.view(np.uint8)
        found.append((pack_lossless(raw, x.itemsize), raw, x.itemsize))
    noise = np.arange(50, dtype=np.uint8)
    return [*found, (pack_lossless(noise, 1), noise, 1)]


def test_truncated_streams_are_refused() -> None:
    """Cut anywhere, with a byte too many, or for another size."""
    for stream, raw, itemsize in samples():
        for length in range(stream.size):
            with pytest.raises(ValueError, match="damaged"):
                unpack_lossless(stream[:length], raw.size, itemsize)
        with pytest.raises(ValueError, match="damaged"):
            unpack_lossless(np.append(stream, np.uint8(0)), raw.size, itemsize)
        with pytest.raises(ValueError, match="damaged"):
            unpack_lossless(stream, raw.size + 8 * itemsize, itemsize)


@pytest.mark.parametrize("seed", range(3))
def test_changed_bytes_are_refused_or_harmless(seed: int) -> None:
    """A changed stream is refused, or gives as many bytes."""
    rng = np.random.default_rng(seed)
    for stream, raw, itemsize in samples():
        for _ in range(60):
            other = stream.copy()
            places = rng.integers(0, min(40, stream.size), int(rng.integers(1, 3)))
            other[places] = rng.integers(0, 256, places.size)
            with contextlib.suppress(ValueError):
                assert unpack_lossless(other, raw.size, itemsize).size == raw.size


@pytest.mark.parametrize(
    ("stream", "what"),
    [
        (b"\x07", "form 7"),
        (b"\x03\x00\x11", "17 bits of 16"),
        (b"\x03\x05\x00" + bytes(20), "rotated by 5"),
        (b"\x02\x01\x00\x00\x00\x00" + b"\x01\x02\x05\x00\x00\x00", "damaged"),
    ],
)
def test_hostile_streams(stream: bytes, what: str) -> None:
    """One clear line for each."""
    with pytest.raises(ValueError, match=what):
        unpack_lossless(np.frombuffer(stream, np.uint8), 20, 4)
