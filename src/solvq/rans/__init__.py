"""Entropy coding of small whole numbers: interleaved rANS with static tables."""

from solvq.rans._classes import class_of_runs
from solvq.rans._decode import decode
from solvq.rans._encode import encode, size_bound

__all__ = ["class_of_runs", "decode", "encode", "size_bound"]
