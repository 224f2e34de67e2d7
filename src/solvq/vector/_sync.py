"""What ranks of `torch.distributed` share; asked at the moment of the call, never before."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor


def n_ranks() -> int:
    """Number of processes that train together now."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def summed(tensor: Tensor) -> Tensor:
    """Sum of a tensor over all ranks; the tensor itself where there is one."""
    if n_ranks() > 1:
        dist.all_reduce(tensor)
    return tensor


def share(tensors: Iterable[Tensor]) -> None:
    """Overwrite tensors by the first rank's; shapes and dtypes agree."""
    if n_ranks() > 1:
        for tensor in tensors:
            dist.broadcast(tensor.detach(), src=0)


def gathered(rows: Tensor) -> Tensor:
    """Rows (n, dim) of all ranks one after the other; each rank may have its own n."""
    if n_ranks() == 1:
        return rows
    size = torch.tensor([len(rows)], device=rows.device)
    sizes = [torch.empty_like(size) for _ in range(n_ranks())]
    dist.all_gather(sizes, size)
    most = int(torch.cat(sizes).max())
    padded = rows.new_zeros(most, rows.shape[1])
    padded[: len(rows)] = rows
    parts = [torch.empty_like(padded) for _ in sizes]
    dist.all_gather(parts, padded)
    return torch.cat([part[: int(n)] for part, n in zip(parts, sizes, strict=True)])
