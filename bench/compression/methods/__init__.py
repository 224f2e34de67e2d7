"""The competitors. Adding one: one file with one hook here, one line in `METHODS`."""

from bench.compression.methods._base import Coded, Method
from bench.compression.methods.gguf import Q4, Q8
from bench.compression.methods.hqq import HQQ
from bench.compression.methods.kmeans import HalfKMeans, KMeans
from bench.compression.methods.nf4 import NF4, DoubleNF4
from bench.compression.methods.torchao import Int4, Int8

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        KMeans(),
        HalfKMeans(),
        NF4(),
        DoubleNF4(),
        Q4(),
        Q8(),
        Int8(),
        Int4(32),
        Int4(64),
        Int4(128),
        HQQ(),
    )
}

__all__ = ["METHODS", "Coded", "Method"]
