"""Gradients through a step that has none, and the losses that pull latents and codewords."""

from __future__ import annotations

import torch
from torch import Tensor

from solvq.vector._distance import nearest
from solvq.vector._result import Assigned

TINY = 1e-12


def carried(values: Tensor, path: Tensor) -> Tensor:
    """``values`` exactly, with the gradient of the finite ``path`` added to their own."""
    return values + (path - path.detach())


def straight_through(z: Tensor, values: Tensor) -> Tensor:
    """``values`` exactly, with the gradient of the identity to ``z`` and none to ``values``."""
    return carried(values.detach(), z)


def rotated(z: Tensor, values: Tensor) -> Tensor:
    """``values`` exactly, as the constant rotation and scaling of ``z`` that reaches them.

    The gradient to ``z`` is ``s R^T g`` with ``values = s R z``, R the rotation in the plane of
    the two; where one of them is zero it is the identity's. None flows to ``values``.

    References
    ----------
    Fifty et al., "Restructuring vector quantization with the rotation trick", ICLR 2025.
    """
    with torch.no_grad():
        length, reach = z.norm(dim=1, keepdim=True), values.norm(dim=1, keepdim=True)
        source, target = z / length.clamp_min(TINY), values / reach.clamp_min(TINY)
        middle = torch.nn.functional.normalize(source + target, dim=1, eps=TINY)
        scale = reach / length.clamp_min(TINY)
        defined = (length > TINY) & (reach > TINY)
    turned = z - 2 * middle * (middle * z).sum(1, keepdim=True)
    turned = turned + 2 * target * (source * z).sum(1, keepdim=True)
    return carried(values.detach(), torch.where(defined, scale * turned, z))


def commitment(z: Tensor, values: Tensor) -> Tensor:
    """Mean over dimensions of ``(z - sg(values))^2``: one number a row, pulling latents only."""
    return (z - values.detach()).square().mean(1)


def two_sided(z: Tensor, values: Tensor, beta: float) -> Tensor:
    """``mean (values - sg(z))^2 + beta mean (z - sg(values))^2`` over dimensions, one a row."""
    return commitment(values, z) + beta * commitment(z, values)


def settled(rows: Tensor, codebook: Tensor, beta: float) -> Assigned:
    """Nearest codewords that learn by gradient: straight-through values, and the loss both ways."""
    indices = nearest(rows, codebook.detach())
    values = torch.nn.functional.embedding(indices, codebook)
    return Assigned(straight_through(rows, values), indices, two_sided(rows, values, beta))
