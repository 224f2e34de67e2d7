"""A file of ``torch.save`` as a source, read without torch and without running its pickle."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvq.checkpoint._container import NUMPY_DTYPES, Entry
from solvq.checkpoint.source._base import Source, listed
from solvq.checkpoint.source._torch_file import read_torch_file
from solvq.checkpoint.source._torch_tensors import Tensor
from solvq.files import FormatError

WRAPPERS = ("state_dict", "model_state_dict", "model", "module")
PREFIXES = ("module.", "_orig_mod.")
MOST_NODES, DEEPEST, LONGEST_NAME = 10_000_000, 64, 4096
EXPANDED = 2**26  # bytes that a tensor with repeated values may have, whatever the file's length


class TorchSource(Source):
    """Tensors of the state dict in a ``.pt``, ``.pth`` or ``.bin`` file.

    Of a training checkpoint the state dict is taken (the first of the keys ``state_dict``,
    ``model_state_dict``, ``model``, ``module`` that holds tensors) and the rest left out; other
    nested dictionaries are flattened, with dots in the names. Prefixes that wrappers of modules
    put before every name are taken away. `notes` says so.

    Raises
    ------
    FormatError
        If the file is damaged, holds no tensors, or more than tensors in plain containers.
    OSError
        If it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.metadata = path, {}
        self.nbytes = path.stat().st_size
        file = read_torch_file(path)
        self._records, self._swap = file.records, file.big_endian
        try:
            taken, left_out = _state_dict(file.root)
            tensors, odd = _flat(taken)
            if not tensors:
                raise FormatError("no tensors in it")
            tensors, prefix = _without_prefix(tensors)
            self.entries = {name: self._entry(name, x) for name, x in tensors.items()}
        except FormatError as error:
            raise FormatError(f"{path}: {error}") from None
        self._tensors = tensors
        self._bytes = np.memmap(path, np.uint8, "r")
        left_out += odd
        notes = [f"left out: {listed(left_out)}"] if left_out else []
        self.notes = (*notes, *([f"prefix {prefix!r} taken from the names"] if prefix else []))

    def _entry(self, name: str, tensor: Tensor) -> Entry:
        """Entry of a tensor, checked against its record and the file."""
        storage = tensor.storage
        if storage.key not in self._records:
            raise FormatError(f"the storage of tensor {name!r} is missing")
        if storage.record > self._records[storage.key][1]:
            raise FormatError(f"the storage of tensor {name!r} is shorter than its pickle says")
        nbytes = tensor.itemsize
        for n in tensor.shape:
            nbytes *= n
        if nbytes > max(self.nbytes, EXPANDED):
            raise FormatError(f"tensor {name!r} would have {nbytes} bytes, more than the file")
        return Entry(tensor.dtype, tensor.shape, nbytes)

    def array(self, name: str) -> NDArray[Any]:
        tensor = self._tensors[name]
        dtype = NUMPY_DTYPES[tensor.dtype]
        if 0 in tensor.shape:
            return np.empty(tensor.shape, dtype)
        start = self._records[tensor.storage.key][0] + tensor.storage.start + tensor.start
        raw = np.asarray(self._bytes[start : start + tensor.extent])
        if self._swap:
            unit = tensor.itemsize // (2 if dtype.kind == "c" else 1)
            raw = raw.reshape(-1, unit)[:, ::-1].reshape(-1)
        if raw.ctypes.data % dtype.alignment:
            raw = raw.copy()
        strides = tuple(step * tensor.itemsize for step in tensor.strides)
        view = np.ndarray(tensor.shape, dtype, raw, strides=strides)
        return np.asarray(view, order="C")


def _leaves(root: Any) -> Iterator[tuple[str, Any]]:
    """Everything in nested containers, with dotted names, in order."""
    stack = [("", 0, root)]
    for _ in range(MOST_NODES):
        if not stack:
            return
        name, depth, value = stack.pop()
        if isinstance(value, dict):
            items = list(value.items())
        elif isinstance(value, list) or type(value) is tuple:
            items = list(enumerate(value))
        else:
            yield name, value
            continue
        if depth == DEEPEST or len(name) > LONGEST_NAME:
            break
        start = f"{name}." if depth else ""
        stack += [(f"{start}{_text(key)}", depth + 1, item) for key, item in reversed(items)]
    raise FormatError("its containers are nested too deeply")


def _text(key: Any) -> str:
    """Key of a dictionary as a part of a name."""
    return str(key) if isinstance(key, (str, int, float)) else type(key).__name__


def _n_tensors(value: Any) -> int:
    """Number of tensors in nested containers."""
    return sum(isinstance(leaf, Tensor) for _, leaf in _leaves(value))


def _state_dict(root: Any) -> tuple[Any, list[str]]:
    """Dictionary of tensors within a training checkpoint, and the names of what is beside it."""
    left_out: list[str] = []
    for _ in range(DEEPEST):
        inner = root if isinstance(root, dict) else {}
        held = [k for k in WRAPPERS if isinstance(inner.get(k), dict) and _n_tensors(inner[k])]
        if not held:
            break
        for key, value in inner.items():
            count = _n_tensors(value) if key != held[0] else 0
            if key != held[0]:
                name = _text(key)
                left_out.append(f"{name} ({count} tensors)" if count else name)
        root = inner[held[0]]
    return root, left_out


def _flat(root: Any) -> tuple[dict[str, Tensor], list[str]]:
    """Tensors by dotted names, and the names of what is none."""
    tensors: dict[str, Tensor] = {}
    odd = []
    for path, leaf in _leaves(root):
        name = path or "tensor"
        if not isinstance(leaf, Tensor):
            odd.append(name)
        elif name in tensors:
            raise FormatError(f"two tensors would be named {name!r}")
        else:
            tensors[name] = leaf
    return tensors, odd


def _without_prefix(tensors: dict[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    """Tensors without what a wrapper put before every name, and what that was."""
    taken = ""
    while found := [p for p in PREFIXES if all(name.startswith(taken + p) for name in tensors)]:
        taken += found[0]
    return {name.removeprefix(taken): x for name, x in tensors.items()}, taken
