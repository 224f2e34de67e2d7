"""Packed bits against a plain-loop twin."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from solvq.checkpoint._pack import PAD, gather, pack, packed_size, unpack


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


def test_gather_takes_each_run_from_its_own_table() -> None:
    tables = np.arange(6, dtype=np.uint16).reshape(3, 2)
    out = np.empty(5, np.uint16)
    gather(tables, np.array([0, 1, 1, 0, 1], np.uint8), 2, out)
    assert out.tolist() == [0, 1, 3, 2, 5]
