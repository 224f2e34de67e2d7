"""The table of scalar quantizers: tests, benchmarks, docs and the command line read it."""

from __future__ import annotations

from solvq.scalar._base import ScalarQuantizer
from solvq.scalar._kmeans import KMeansQuantizer
from solvq.scalar._l0 import L0Quantizer
from solvq.scalar._l1 import L1Quantizer
from solvq.scalar._optimal import OptimalQuantizer
from solvq.scalar._uniform import UniformQuantizer

METHODS: dict[str, type[ScalarQuantizer]] = {
    "optimal": OptimalQuantizer,
    "l0": L0Quantizer,
    "l1": L1Quantizer,
    "kmeans": KMeansQuantizer,
    "uniform": UniformQuantizer,
}
