"""Compressed checkpoints as torch tensors."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from solvq.checkpoint import load
from solvq.files import FormatError


def _tensor(array: NDArray[Any]) -> Tensor:
    """Torch tensor of an array; the types that NumPy lacks go through their bits."""
    array = array if array.flags.writeable else array.copy()
    if type(array.dtype.type(0)).__module__ == "numpy":
        return torch.from_numpy(array)
    bits = array.view(np.uint8 if array.itemsize == 1 else np.int16)
    dtype: torch.dtype = getattr(torch, array.dtype.name)
    return torch.from_numpy(bits).view(dtype)


def state_dict(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Restored tensors of a file that `solvq.checkpoint.compress` wrote, on the CPU.

    Raises
    ------
    FormatError
        If it did not, or the file is damaged.
    """
    return {name: _tensor(array) for name, array in load(path).items()}


def load_into(model: nn.Module, path: str | os.PathLike[str], strict: bool = True) -> Any:
    """Put the tensors of a compressed checkpoint into a model, on its device, in its dtypes.

    Parameters
    ----------
    model : Module
        Changed in place.
    path : path
        File that `solvq.checkpoint.compress` wrote.
    strict : bool, default True
        Demand that names agree. Shapes always must.

    Returns
    -------
    named tuple
        ``missing_keys`` and ``unexpected_keys``.

    Raises
    ------
    FormatError
        If the file is damaged or does not fit the model.
    """
    tensors = state_dict(path)
    try:
        return model.load_state_dict(tensors, strict=strict)
    except RuntimeError as error:
        text = " ".join(str(error).split())
        raise FormatError(f"{path}: does not fit the model: {text}") from None
