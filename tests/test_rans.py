"""The entropy coder: exact round trips, sizes near the entropy, damage that is noticed."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from solvq.rans import class_of_runs, decode, encode, size_bound
from solvq.rans._classes import _partition, _price
from solvq.rans._frequencies import fit, model
from solvq.rans._kernels import LANES, SHORT, read_chunk, reading, write_chunk, writing
from solvq.rans._tables import read, write
from tests.oracles import least_bits, rans_words
from tests.strategies import INTERPRETED

Symbols = NDArray[np.uint8]
MANY = 3_000 if INTERPRETED else 300_000


def entropy_bytes(counts: NDArray[np.int64]) -> float:
    """Bytes of symbols of given counts at their empirical entropy."""
    c = counts[counts > 0]
    return float(-(c * np.log2(c / c.sum())).sum() / 8)


def bell(n: int, spread: float, n_symbols: int, seed: int = 0) -> Symbols:
    """Symbols around the middle."""
    x = np.random.default_rng(seed).normal(n_symbols / 2, spread, n)
    return np.clip(np.round(x), 0, n_symbols - 1).astype(np.uint8)


def rows_of_scales(n_rows: int, length: int, scales: list[float]) -> Symbols:
    """Rows of 16 symbols, each bell-shaped with one of the scales in turn."""
    rows = [bell(length, scales[r % len(scales)], 16, r) for r in range(n_rows)]
    return np.stack(rows)


@st.composite
def streams(draw: st.DrawFn) -> tuple[NDArray[np.uint16], int, NDArray[np.uint8] | None]:
    """Symbols below a number of symbols, skewed or not, in runs with classes or not."""
    n_symbols = draw(st.sampled_from([1, 2, 3, 16, 255, 256, 257, 65536]))
    n_runs, length = draw(st.integers(0, 12)), draw(st.sampled_from([0, 1, 9, 100, 700]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    skew = draw(st.sampled_from([1.0, 4.0, 40.0]))
    symbols = (n_symbols * rng.random(n_runs * length) ** skew).astype(np.uint16)
    classes = rng.integers(0, draw(st.integers(1, 256)), n_runs).astype(np.uint8)
    return symbols, n_symbols, classes if n_runs and draw(st.booleans()) else None


@given(streams(), st.integers(1, 3))
@example((np.zeros(0, np.uint16), 1, None), 1)
@example((np.arange(65536).astype(np.uint16), 65536, None), 1)
def test_round_trip(
    given: tuple[NDArray[np.uint16], int, NDArray[np.uint8] | None], n_jobs: int
) -> None:
    """What is decoded is what was coded, in the smallest dtype; the bound holds."""
    symbols, n_symbols, classes = given
    stream = encode(symbols, n_symbols, classes, n_jobs)
    for source in (stream, stream.tobytes()):
        back = decode(source, symbols.size, n_jobs)
        np.testing.assert_array_equal(back, symbols)
        assert back.dtype == (np.uint8 if n_symbols <= 256 else np.uint16)
    if classes is None:
        assert stream.size <= size_bound(np.bincount(symbols, minlength=n_symbols))


@pytest.mark.parametrize("n", [SHORT - 1, SHORT, SHORT + 1, SHORT + LANES - 1, 2 * SHORT])
@pytest.mark.parametrize("bits", [5, 12, 16])
def test_words_are_those_of_the_definition(n: int, bits: int) -> None:
    """The kernel that multiplies writes what whole numbers that are divided give."""
    symbols = bell(n, 4.0, 32, n)
    frequencies = fit(np.bincount(symbols, minlength=32), bits)
    words = np.empty(n + 2 * LANES, np.uint16)
    words = words[write_chunk(symbols, writing(frequencies, bits), words) :]
    lanes = LANES if n >= SHORT else 1
    assert words.tolist() == rans_words(symbols.tolist(), frequencies.tolist(), bits, lanes)
    out = np.empty_like(symbols)
    assert read_chunk(words, reading(frequencies, bits), np.uint64(bits), out)
    np.testing.assert_array_equal(out, symbols)


@given(st.lists(st.integers(0, 60), min_size=2, max_size=5), st.integers(3, 4))
@example([1, 1, 1, 1000, 0], 3)
def test_frequencies_are_optimal(counts: list[int], bits: int) -> None:
    """No other frequencies of that sum code the counts in fewer bits."""
    table = np.array([*counts, 7], np.int64)
    frequencies = fit(table, bits)
    assert frequencies.sum() == 1 << bits
    assert ((frequencies > 0) == (table > 0)).all()
    seen = table > 0
    cost = (table[seen] * (bits - np.log2(frequencies[seen]))).sum()
    assert cost == pytest.approx(least_bits(table.tolist(), 1 << bits), rel=1e-9, abs=1e-9)


@given(st.integers(0, 2**32 - 1), st.sampled_from([2, 16, 300]), st.integers(1, 4))
def test_tables_round_trip(seed: int, n_symbols: int, n_tables: int) -> None:
    """Tables of any shape come back, also those of one symbol."""
    rng = np.random.default_rng(seed)
    size = int(rng.choice([1, 30, 10_000]))
    counts = [np.bincount(rng.zipf(2.0, size) % n_symbols) for _ in range(n_tables)]
    counts = [np.pad(c, (0, n_symbols - c.size)).astype(np.int64) for c in counts]
    models = [model(c) for c in counts]
    tables, precisions = read(write(*map(list, zip(*models, strict=True))), n_tables, n_symbols)
    for (frequencies, bits), table, precision in zip(models, tables, precisions, strict=True):
        np.testing.assert_array_equal(frequencies, table)
        assert bits == precision


@pytest.mark.parametrize(
    ("symbols", "n_symbols"),
    [
        (bell(MANY, 3.0, 16), 16),
        (bell(MANY, 20.0, 256), 256),
        (bell(MANY, 0.4, 4), 4),
        (np.random.default_rng(0).integers(0, 256, MANY).astype(np.uint8), 256),
        (np.minimum(np.random.default_rng(1).geometric(0.5, MANY), 99).astype(np.uint8), 100),
    ],
    ids=["16 values", "256 values", "4 values", "uniform", "geometric"],
)
def test_size_is_near_the_entropy(symbols: Symbols, n_symbols: int) -> None:
    """Within 0.05 % and the table, which takes less than 10 bits a symbol that occurs."""
    counts = np.bincount(symbols, minlength=n_symbols)
    size, least = encode(symbols, n_symbols).size, entropy_bytes(counts)
    table = 16 + 10 * np.count_nonzero(counts) / 8
    assert least <= size <= 1.0005 * least + table + 40
    assert size <= size_bound(counts) <= 1.001 * size + 40


def test_size_beside_constriction() -> None:
    """As small as a well-kept coder that is given the exact counts, without its model's bytes."""
    stream = pytest.importorskip("constriction").stream
    symbols = bell(MANY, 25.0, 256)
    counts = np.bincount(symbols, minlength=256)
    coder = stream.stack.AnsCoder()
    exact = stream.model.Categorical((counts + 1e-9) / (counts + 1e-9).sum(), perfect=False)
    coder.encode_reverse(symbols.astype(np.int32), exact)
    assert encode(symbols, 256).size <= 1.0005 * coder.get_compressed().nbytes + 250


@pytest.mark.parametrize("n", [1, 10, 10**6])
def test_one_symbol_costs_nothing(n: int) -> None:
    """A constant takes a header, however long it is."""
    assert encode(np.full(n, 200, np.uint8), 256).size <= 20
    assert encode(np.full(n, 60_000, np.uint16), 65536).size <= 25


def test_all_symbols_once() -> None:
    """The table of even frequencies takes a few bytes."""
    symbols = np.random.default_rng(0).permutation(65536).astype(np.uint16)
    assert encode(symbols, 65536).size <= symbols.nbytes + 60


def test_stream_does_not_depend_on_threads() -> None:
    """Several chunks, in order."""
    rows = rows_of_scales(64, MANY // 64, [0.5, 3.0])
    classes = class_of_runs(rows, 16, n_jobs=1)
    assert (classes == class_of_runs(rows, 16, n_jobs=3)).all()
    one = encode(rows.reshape(-1), 16, classes, n_jobs=1)
    np.testing.assert_array_equal(one, encode(rows.reshape(-1), 16, classes, n_jobs=3))
    np.testing.assert_array_equal(decode(one, n_jobs=3), rows.reshape(-1))


def test_classes_find_the_scales() -> None:
    """Rows of two scales are told apart, and cost what their own tables give."""
    rows = rows_of_scales(40, 400, [0.7, 3.0])
    classes = class_of_runs(rows, 16)
    assert (classes.reshape(-1, 2) == classes[:2]).all()
    assert classes[0] != classes[1]
    parts = [np.bincount(rows[k::2].reshape(-1), minlength=16) for k in (0, 1)]
    size = encode(rows.reshape(-1), 16, classes).size
    assert size <= 1.001 * sum(map(entropy_bytes, parts)) + 120
    assert size < encode(rows.reshape(-1), 16).size
    counts = np.stack(parts if classes[0] == 0 else parts[::-1])
    assert size <= size_bound(counts, classes) <= 1.001 * size + 60


def test_equal_rows_share_one_table() -> None:
    """Nothing to gain, nothing spent."""
    assert not class_of_runs(rows_of_scales(40, 100, [2.0]), 16).any()
    assert not class_of_runs(np.zeros((5, 7), np.uint8), 3).any()
    assert class_of_runs(np.zeros((0, 7), np.uint8), 3).size == 0


@given(st.integers(0, 2**32 - 1))
def test_classes_do_no_harm(seed: int) -> None:
    """With the classes that are found, a stream is hardly ever longer, and never by much."""
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 40)), int(rng.integers(1, 60)))
    rows = np.clip(rng.normal(8, rng.lognormal(0, 1, (shape[0], 1)), shape), 0, 15)
    rows = rows.astype(np.uint8)
    classes = class_of_runs(rows, 16, n_classes=8)
    assert classes.max(initial=0) < 8
    plain, size = encode(rows.reshape(-1), 16).size, encode(rows.reshape(-1), 16, classes).size
    assert size <= plain + 24


def test_partition_is_the_cheapest() -> None:
    """Of all partitions of six groups into at most three intervals."""
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 400, (6, 4)) * np.array([[1, 1, 30, 30, 1, 9]]).T
    sums = np.concatenate([np.zeros((1, 4), np.int64), np.cumsum(counts, axis=0)])
    rows = np.arange(7) * 5

    def price(ends: list[int]) -> float:
        return sum(
            float(_price(sums[b] - sums[a], rows[b] - rows[a], 30))
            for a, b in zip([0, *ends], ends, strict=False)
        )

    every = [[6], *([a, 6] for a in range(1, 6))]
    every += [[a, b, 6] for a in range(1, 6) for b in range(a + 1, 6)]
    found = _partition(sums, rows, 3)
    assert price(found.tolist()) == pytest.approx(min(map(price, every)))


def samples() -> list[NDArray[np.uint8]]:
    """Short streams of every kind: none, one symbol, one state, all states, classes."""
    rows = rows_of_scales(12, 150, [0.5, 4.0])
    return [
        encode(np.zeros(0, np.uint8), 5),
        encode(np.full(50, 3, np.uint8), 5),
        encode(bell(60, 2.0, 16), 16),
        encode(bell(1500, 2.0, 16), 16),
        encode(bell(300, 2.0, 16).astype(np.uint16) * 17, 300),
        encode(rows.reshape(-1), 16, class_of_runs(rows, 16)),
    ]


def test_truncated_streams_are_refused() -> None:
    """Cut anywhere, or with a byte too many."""
    for stream in samples():
        for length in range(stream.size):
            with pytest.raises(ValueError, match="damaged"):
                decode(stream[:length])
        with pytest.raises(ValueError, match="damaged"):
            decode(np.append(stream, np.uint8(0)))


@pytest.mark.parametrize("seed", range(3))
def test_changed_bytes_are_refused_or_harmless(seed: int) -> None:
    """A stream with some bytes changed is refused, or decodes to as many symbols."""
    rng = np.random.default_rng(seed)
    refused = 0
    for stream in samples():
        count = decode(stream).size
        for _ in range(60):
            other = stream.copy()
            places = rng.integers(0, stream.size, int(rng.integers(1, 4)))
            other[places] = rng.integers(0, 256, places.size)
            try:
                assert decode(other, count).size == count
            except ValueError:
                refused += 1
    assert refused > 200


@given(st.binary(max_size=80), st.integers(0, 10_000))
def test_any_bytes(data: bytes, count: int) -> None:
    """Bytes of any origin are refused, or decode to as many symbols as are expected."""
    with contextlib.suppress(ValueError):
        assert decode(b"\x01" + data, count).size == count


def test_hostile_counts() -> None:
    """A few bytes that ask for all memory, and classes inside classes without end."""
    constant = bytearray(encode(np.zeros(100, np.uint8), 2))
    assert constant[2] == 100
    huge = bytes(constant[:2]) + b"\xff\xff\xff\xff\xff\xff\x3f" + bytes(constant[3:])
    with pytest.raises(ValueError, match="where 100 are expected"):
        decode(huge, 100)
    with pytest.raises(ValueError, match="damaged"):
        decode(huge)
    stream = b""
    for _ in range(2000):
        body = b"\x01\x02\x04\x02\x02" + bytes([len(stream) & 127 | 128, len(stream) >> 7 & 127])
        stream = body + stream
    with pytest.raises(ValueError, match="damaged"):
        decode(stream)


def test_arguments() -> None:
    """One clear line for what does not fit."""
    symbols = np.array([0, 1, 9], np.uint8)
    with pytest.raises(ValueError, match=r"a symbol is 9; n_symbols=5 allows 0\.\.4"):
        encode(symbols, 5)
    with pytest.raises(ValueError, match=r"n_symbols is 0; give 1\.\.65536"):
        encode(symbols, 0)
    with pytest.raises(TypeError, match="give uint8 or uint16"):
        encode(symbols.astype(np.int64), 10)
    with pytest.raises(ValueError, match="one axis"):
        encode(symbols[None], 10)
    with pytest.raises(ValueError, match="not 2 runs"):
        encode(symbols, 10, np.zeros(2, np.uint8))
    with pytest.raises(ValueError, match=r"give \(n_runs,\) uint8"):
        encode(symbols, 10, np.zeros(3, int))
    with pytest.raises(ValueError, match="n_runs, length"):
        class_of_runs(symbols, 10)
    with pytest.raises(ValueError, match=r"n_classes is 300; give 1\.\.256"):
        class_of_runs(symbols[None], 10, 300)
    with pytest.raises(ValueError, match="counts have shape"):
        size_bound(np.ones((2, 3), int))
    with pytest.raises(ValueError, match="counts are negative"):
        size_bound(np.array([1, -1]))
    with pytest.raises(TypeError, match="no bytes"):
        decode(symbols.astype(np.int64))
