"""Checkpoints: a model file goes in, a smaller one comes out, with a proof of how good it is."""

from solvq.checkpoint._compress import compress
from solvq.checkpoint._inspect import inspect
from solvq.checkpoint._plan import Settings
from solvq.checkpoint._report import Report, TensorReport
from solvq.checkpoint._restore import decompress, load
from solvq.files import FormatError

__all__ = [
    "FormatError",
    "Report",
    "Settings",
    "TensorReport",
    "compress",
    "decompress",
    "inspect",
    "load",
]
