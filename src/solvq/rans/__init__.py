"""Entropy coding of small whole numbers: interleaved rANS with static tables."""

from solvq.rans._classes import class_of_runs
from solvq.rans._stream import decode, encode, size_bound

__all__ = ["class_of_runs", "decode", "encode", "size_bound"]
