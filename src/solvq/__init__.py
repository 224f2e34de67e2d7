"""solvq: quantization, solved."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from solvq.code import Code
    from solvq.scalar import Certificate, Curve, certificate, quantize, rate_distortion

__version__ = "0.1.0"

__all__ = [
    "Certificate",
    "Code",
    "Curve",
    "__version__",
    "certificate",
    "quantize",
    "rate_distortion",
]

_HOMES = {
    "Certificate": "solvq.scalar",
    "Code": "solvq.code",
    "Curve": "solvq.scalar",
    "certificate": "solvq.scalar",
    "quantize": "solvq.scalar",
    "rate_distortion": "solvq.scalar",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that ``import solvq`` stays instant."""
    if name not in _HOMES:
        raise AttributeError(f"module 'solvq' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
