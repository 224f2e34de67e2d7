"""Scalar quantizers: few shared values for the numbers of an array."""

from solvq.scalar._adaptive_l1 import AdaptiveL1Quantizer
from solvq.scalar._base import ScalarQuantizer
from solvq.scalar._blocks import Blocks, quantize_blocks
from solvq.scalar._certificate import Certificate, certificate
from solvq.scalar._cluster_ls import ClusterLSQuantizer
from solvq.scalar._curve import Curve, rate_distortion
from solvq.scalar._entropy import EntropyQuantizer
from solvq.scalar._histogram import Bracket, Histogram
from solvq.scalar._iterative_l1 import IterativeL1Quantizer
from solvq.scalar._kmeans import KMeansQuantizer
from solvq.scalar._l0 import L0Quantizer
from solvq.scalar._l1 import L1Quantizer, Path
from solvq.scalar._l1_l2 import L1L2Quantizer
from solvq.scalar._lloyd_max import LloydMaxQuantizer
from solvq.scalar._methods import METHODS
from solvq.scalar._mixture import MixtureQuantizer
from solvq.scalar._nested import Nested, nested, nested_rows
from solvq.scalar._optimal import OptimalQuantizer
from solvq.scalar._quantile import QuantileQuantizer
from solvq.scalar._quantize import quantize, quantize_certified
from solvq.scalar._reduce import NonFiniteError
from solvq.scalar._restricted import RestrictedQuantizer
from solvq.scalar._rows import Rows, quantize_rows
from solvq.scalar._transform import TransformQuantizer
from solvq.scalar._uniform import UniformQuantizer

__all__ = [
    "METHODS",
    "AdaptiveL1Quantizer",
    "Blocks",
    "Bracket",
    "Certificate",
    "ClusterLSQuantizer",
    "Curve",
    "EntropyQuantizer",
    "Histogram",
    "IterativeL1Quantizer",
    "KMeansQuantizer",
    "L0Quantizer",
    "L1L2Quantizer",
    "L1Quantizer",
    "LloydMaxQuantizer",
    "MixtureQuantizer",
    "Nested",
    "NonFiniteError",
    "OptimalQuantizer",
    "Path",
    "QuantileQuantizer",
    "RestrictedQuantizer",
    "Rows",
    "ScalarQuantizer",
    "TransformQuantizer",
    "UniformQuantizer",
    "certificate",
    "nested",
    "nested_rows",
    "quantize",
    "quantize_blocks",
    "quantize_certified",
    "quantize_rows",
    "rate_distortion",
]
