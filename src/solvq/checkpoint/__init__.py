"""Checkpoints: a model file goes in, a smaller one comes out, with a proof of how good it is."""

from solvq.checkpoint._compress import compress, plan
from solvq.checkpoint._decompress import decompress
from solvq.checkpoint._inspect import inspect
from solvq.checkpoint._report import Report, TensorReport
from solvq.checkpoint._restore import load
from solvq.checkpoint._rules import RULES, parse_rule
from solvq.checkpoint._settings import Settings
from solvq.checkpoint.budget._limit import parse_size
from solvq.checkpoint.compare._diff import diff
from solvq.checkpoint.compare._difference import Difference, TensorDifference
from solvq.files import FormatError

__all__ = [
    "RULES",
    "Difference",
    "FormatError",
    "Report",
    "Settings",
    "TensorDifference",
    "TensorReport",
    "compress",
    "decompress",
    "diff",
    "inspect",
    "load",
    "parse_rule",
    "parse_size",
    "plan",
]
