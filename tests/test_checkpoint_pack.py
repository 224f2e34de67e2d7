"""Packed bits against a plain-loop twin."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from solvq.checkpoint._layout import layout_of
from solvq.checkpoint._pack import PAD, gather, multiply, pack, packed_size, squares, unpack


def plain_pack(indices: list[int], bits: int) -> bytes:
    """Set every bit of the stream by itself."""
    out = bytearray(-(-len(indices) * bits // (8 * PAD)) * PAD)
    for i, value in enumerate(indices):
        for b in range(bits):
            position = i * bits + b
            out[position // 8] |= (value >> b & 1) << position % 8
    return bytes(out)


@given(st.integers(1, 16), st.data())
def test_pack_is_the_stream_of_bits(bits: int, data: st.DataObject) -> None:
    indices = data.draw(st.lists(st.integers(0, 2**bits - 1), max_size=70))
    packed = pack(np.array(indices, np.uint16), bits)
    assert packed.tobytes() == plain_pack(indices, bits)
    assert packed.size == packed_size(len(indices), bits)
    assert unpack(packed, bits, len(indices)).tolist() == indices


@pytest.mark.parametrize("bits", range(1, 17))
def test_large_round_trip(bits: int) -> None:
    indices = np.random.default_rng(bits).integers(0, 2**bits, 100_003).astype(np.uint16)
    packed = pack(indices, bits)
    assert packed.size <= 100_003 * bits / 8 + PAD
    np.testing.assert_array_equal(unpack(packed, bits, indices.size), indices)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        *(("tensor", (5,)), ("row", (3, 4)), ("column", (3, 4)), ("rows:2", (5, 3))),
        *(("group:3", (2, 4)), ("block:2x3", (5, 7)), ("block:9x9", (2, 3)), ("row", (2, 3, 2))),
    ],
)
def test_gather_and_multiply_take_the_block_of_each_weight(
    name: str, shape: tuple[int, ...]
) -> None:
    layout = layout_of(name, shape)
    assert layout.size == np.prod(shape)
    assert layout_of(layout.name, shape) == layout or min(layout[:2]) == 1
    rng = np.random.default_rng(0)
    tables = rng.integers(0, 99, (layout.blocks, 3)).astype(np.uint16)
    indices = rng.integers(0, 3, layout.size).astype(np.uint8)
    out, values = np.empty(layout.size, np.uint16), np.ones(layout.size)
    gather(tables, indices, layout, out)
    multiply(values, np.arange(layout.blocks, dtype=float), layout)
    for i in range(layout.size):
        r, c = divmod(i, layout.columns)
        block = r // layout.height * layout.across + c // layout.width
        assert out[i] == tables[block, indices[i]]
        assert values[i] == block


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_squares_are_those_of_numpy(dtype: type) -> None:
    rng = np.random.default_rng(0)
    x, y, w = (rng.standard_normal(1000).astype(dtype) for _ in range(3))
    wide, other, weight = (a.astype(np.float64) for a in (x, y, abs(w)))
    none, nothing = np.empty(0), np.empty(0, dtype)
    assert squares(x, nothing, none) == pytest.approx(float(wide @ wide), rel=1e-12)
    assert squares(x, y, weight) == pytest.approx(float(weight @ (wide - other) ** 2), rel=1e-12)
