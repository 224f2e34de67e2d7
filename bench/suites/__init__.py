"""The suites. Adding one: one file here, one line in `SUITES`."""

from bench.suites import paper_scalar, scalar_exact, scalar_methods, scalar_rows
from bench.suites._base import Suite

SUITES: dict[str, Suite] = {
    "paper-scalar": paper_scalar.SUITE,
    "scalar-exact": scalar_exact.SUITE,
    "scalar-methods": scalar_methods.SUITE,
    "scalar-rows": scalar_rows.SUITE,
}
