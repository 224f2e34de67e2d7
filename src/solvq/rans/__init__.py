"""Entropy coding of small whole numbers: interleaved rANS with static tables."""

from solvq.rans._stream import decode, encode

__all__ = ["decode", "encode"]
