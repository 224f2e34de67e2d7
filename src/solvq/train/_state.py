"""Everything that a run goes on with, as one safetensors file: no pickles."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from solvq.files import FormatError, replacing

KEY = "solvq.train"  # of the JSON in the file's metadata


def optimizer_tensors(optimizer: torch.optim.Optimizer | None) -> dict[str, Tensor]:
    """What an optimiser remembers of each parameter, named by the parameter's place."""
    if optimizer is None:
        return {}
    state = optimizer.state_dict()["state"]
    return {f"{place}.{name}": t for place, kept in state.items() for name, t in kept.items()}


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put back what `optimizer_tensors` gave."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        place, name = key.split(".", 1)
        state.setdefault(int(place), {})[name] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def save(path: Path, parts: dict[str, dict[str, Tensor]], about: dict[str, Any]) -> None:
    """Write named parts and a JSON record, beside the file and then in its place.

    Raises
    ------
    OSError
        If the disk is full or the folder cannot be written; the old file stays.
    """
    tensors = {
        f"{part}.{name}": tensor.detach().cpu().contiguous()
        for part, named in parts.items()
        for name, tensor in named.items()
    }
    try:
        with replacing(path) as part:
            save_file(tensors, part, {KEY: json.dumps(about)})
    except SafetensorError as error:  # how the library says that the disk is full
        raise OSError(f"{path}: cannot be written: {error}") from None


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open file of a state; what is wrong with it is a `FormatError`."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; has the run come to its first interval?")
    try:
        with safe_open(path, "pt") as file:
            yield file
    except (SafetensorError, KeyError, ValueError) as error:
        raise FormatError(f"{path}: not the state of a run ({error})") from None


def read_record(path: Path) -> dict[str, Any]:
    """Record that `save` wrote, without the tensors; errors as `load`."""
    with _opened(path) as file:
        return dict(json.loads((file.metadata() or {})[KEY]))


def load(path: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """Parts and record that `save` wrote, on the CPU.

    Raises
    ------
    FormatError
        If the file is damaged or is none that `save` wrote.
    FileNotFoundError
        If there is none.
    """
    about = read_record(path)
    parts: dict[str, dict[str, Tensor]] = {}
    with _opened(path) as file:
        for key in file.keys():  # noqa: SIM118 - it is no dict
            part, name = key.split(".", 1)
            parts.setdefault(part, {})[name] = file.get_tensor(key)
    return parts, about


def load_module(path: Path, name: str, module: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Load a part into the module that it was made of.

    Raises
    ------
    FormatError
        If names or shapes differ.
    """
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        raise FormatError(f"{path}: {name} does not fit the configuration: {error}") from None
