"""The suites. Adding one: one file here, one line in `SUITES`."""

from bench.suites import (
    compression,
    compression_speed,
    paper_scalar,
    rans,
    scalar_blocks,
    scalar_curve,
    scalar_entropy,
    scalar_exact,
    scalar_methods,
    scalar_nested,
    scalar_rows,
    scalar_stream,
    vector_ablation,
    vector_exact,
    vector_speed,
)
from bench.suites._base import Suite

SUITES: dict[str, Suite] = {
    "compression": compression.SUITE,
    "compression-speed": compression_speed.SUITE,
    "paper-scalar": paper_scalar.SUITE,
    "rans": rans.SUITE,
    "scalar-curve": scalar_curve.SUITE,
    "scalar-entropy": scalar_entropy.SUITE,
    "scalar-blocks": scalar_blocks.SUITE,
    "scalar-exact": scalar_exact.SUITE,
    "scalar-methods": scalar_methods.SUITE,
    "scalar-nested": scalar_nested.SUITE,
    "scalar-rows": scalar_rows.SUITE,
    "scalar-stream": scalar_stream.SUITE,
    "vector-speed": vector_speed.SUITE,
    "vector-exact": vector_exact.SUITE,
    "vector-ablation": vector_ablation.SUITE,
}
