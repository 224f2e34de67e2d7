"""The layers compared: everything in `solvq.vector.METHODS`, functions, and other packages.

Needs torch. Adding one: one class, one line in `layers`.
"""

from bench.vector.layers.functions import ALPHAS, Exact, Relaxed
from bench.vector.layers.ours import OurLayer
from bench.vector.layers.peers import Peer
from bench.vector.layers.plain import PlainGather
from bench.vector.method import Method
from solvq.vector import METHODS

YARDSTICK = "VectorQuantize"
"""What times are divided by: its constructor's defaults, which are an EMA codebook."""


def layers() -> dict[str, Method]:
    """Every layer by name, in the order of the tables."""
    rows: list[Method] = [
        Peer("VectorQuantize", "VectorQuantize"),
        Peer("VectorQuantize EMA", "VectorQuantize", "straight-through"),
        Peer("VectorQuantize grad", "VectorQuantize", "gradient"),
        Peer("ResidualVQ x4", "ResidualVQ"),
        Peer("SimVQ", "SimVQ"),
        Peer("FSQ", "FSQ"),
        PlainGather(),
        *(OurLayer(name) for name in METHODS),
        Relaxed(),
        *(Exact(alpha) for alpha in ALPHAS),
    ]
    return {row.name: row for row in rows}
