"""What a call runs under: autocast, and a second forward inside backward."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def without_autocast(z: Any) -> torch.autocast:
    """A context that computes in the dtypes given, on the device of ``z``."""
    return torch.autocast(z.device.type if isinstance(z, Tensor) else "cpu", enabled=False)


def recomputing() -> bool:
    """Whether this runs inside a backward pass, as activation checkpointing's second forward."""
    if torch.compiler.is_compiling():
        return False
    return torch._C._current_graph_task_id() != -1
