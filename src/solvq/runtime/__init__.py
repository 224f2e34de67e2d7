"""Checkpoints and the torch models they are of: what matters in a model, and loading into it."""

try:
    import torch  # noqa: F401
except ModuleNotFoundError as error:
    raise ImportError("this needs torch: pip install 'solvq[vector]'") from error

from solvq.runtime._importance import KINDS, importance, save_importance
from solvq.runtime._load import load_into, state_dict

__all__ = [
    "KINDS",
    "importance",
    "load_into",
    "save_importance",
    "state_dict",
]
