"""What the entropy benchmark reports: the baseline, the coder's bytes, the bounds."""

from __future__ import annotations

import numpy as np
import pytest

from bench.entropy.bounds import shannon
from bench.entropy.codes import Coded, best_at, coded_bytes, even, uniform
from solvq import Code


def test_even_thresholds_by_hand() -> None:
    """Cells around multiples of the step, and their means."""
    code = even(np.array([-0.4, 0.4, 0.9, 1.1, 1.3, 7.0]), 1.0)
    np.testing.assert_allclose(code.codebook, [0.0, 1.1, 7.0])
    assert code.indices.tolist() == [0, 0, 1, 1, 1, 2]


def test_coded_bytes_are_near_the_entropy() -> None:
    """The whole of the file: indices, codebook and counts."""
    pytest.importorskip("constriction")
    rng = np.random.default_rng(0)
    code = Code(np.arange(9.0, dtype=np.float32), rng.binomial(8, 0.3, 40_000))
    size = coded_bytes(code)
    least = code.entropy * 40_000 / 8 + 9 * 8
    assert least <= size <= 1.002 * least + 8
    assert coded_bytes(Code(np.ones(1, np.float32), np.zeros(5, int))) == 8


def test_uniform_meets_its_rate() -> None:
    """The finest step of at most the wanted entropy."""
    pytest.importorskip("constriction")
    x = np.random.default_rng(1).standard_normal(20_000).astype(np.float32)
    row = uniform(x, 3.0)
    assert 2.99 < row.entropy <= 3.0
    assert 1.4 < row.error * 4.0**3 < 1.5  # pi e / 6 at high rate


def test_error_at_equal_bits() -> None:
    """Interpolated in the logarithm, and never beyond what was measured."""
    rows = [Coded("a", 2, bits, bits, 4.0**-bits, None, 0.0) for bits in (1.0, 2.0, 4.0)]
    assert best_at(rows, "a", 3.0) == pytest.approx(4.0**-3)
    assert np.isnan(best_at(rows, "a", 4.5))
    assert np.isnan(best_at(rows, "b", 3.0))


def test_bounds() -> None:
    """A Laplacian source of variance one is easier than a Gaussian one."""
    np.testing.assert_allclose(shannon("normal", [0.0, 1.0]), [1.0, 0.25])
    np.testing.assert_allclose(shannon("laplace", [0.0, 1.0]), np.array([1.0, 0.25]) * np.e / np.pi)
