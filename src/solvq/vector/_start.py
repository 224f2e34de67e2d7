"""Codewords before any data were seen."""

from __future__ import annotations

import torch
from torch import Tensor


def small_uniform(n_codes: int, dim: int) -> Tensor:
    """Codewords (n_codes, dim) uniform in (-1/n_codes, 1/n_codes), from torch's default generator.

    Far shorter than any latents, so that direction decides which is nearest.
    """
    return (2 * torch.rand(n_codes, dim) - 1) / n_codes
