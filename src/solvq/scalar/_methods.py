"""The table of scalar quantizers: tests, benchmarks, docs and the command line read it."""

from __future__ import annotations

from solvq.scalar._adaptive_l1 import AdaptiveL1Quantizer
from solvq.scalar._base import ScalarQuantizer
from solvq.scalar._cluster_ls import ClusterLSQuantizer
from solvq.scalar._entropy import EntropyQuantizer
from solvq.scalar._iterative_l1 import IterativeL1Quantizer
from solvq.scalar._kmeans import KMeansQuantizer
from solvq.scalar._l0 import L0Quantizer
from solvq.scalar._l1 import L1Quantizer
from solvq.scalar._l1_l2 import L1L2Quantizer
from solvq.scalar._lloyd_max import LloydMaxQuantizer
from solvq.scalar._mixture import MixtureQuantizer
from solvq.scalar._optimal import OptimalQuantizer
from solvq.scalar._quantile import QuantileQuantizer
from solvq.scalar._restricted import RestrictedQuantizer
from solvq.scalar._transform import TransformQuantizer
from solvq.scalar._uniform import UniformQuantizer

METHODS: dict[str, type[ScalarQuantizer]] = {
    "optimal": OptimalQuantizer,
    "restricted": RestrictedQuantizer,
    "l0": L0Quantizer,
    "l1": L1Quantizer,
    "l1-l2": L1L2Quantizer,
    "iterative-l1": IterativeL1Quantizer,
    "adaptive-l1": AdaptiveL1Quantizer,
    "entropy": EntropyQuantizer,
    "kmeans": KMeansQuantizer,
    "cluster-ls": ClusterLSQuantizer,
    "lloyd-max": LloydMaxQuantizer,
    "transform": TransformQuantizer,
    "mixture": MixtureQuantizer,
    "quantile": QuantileQuantizer,
    "uniform": UniformQuantizer,
}
