"""An ONNX model as a source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvq.checkpoint._container import NUMPY_DTYPES, Entry
from solvq.checkpoint.source._base import Source, listed
from solvq.checkpoint.source._onnx_model import (
    DTYPES,
    EXTERNAL,
    inner_values,
    model_tensors,
    outer_file,
    parse_model,
    tensor_length,
    without_values,
)
from solvq.files import FormatError


class OnnxSource(Source):
    """Initialisers and constants of an ONNX model; `skeleton` is the model without their values.

    Tensors in files of their own (external data) are mapped when they are asked for; those files
    must lie in the model's folder. Tensors of text or of less than 8 bits stay in the skeleton.

    Raises
    ------
    FormatError
        If the model is damaged, or a tensor or its file is not as long as its shape asks for.
    ImportError
        If the package `onnx` is not installed.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.metadata, self.entries = path, {}, {}
        self._inner: dict[str, NDArray[np.uint8]] = {}
        self._outer: dict[str, tuple[Path, int]] = {}
        model = parse_model(path.read_bytes(), path)
        try:
            left = self._take_all(model)
        except FormatError as error:
            raise FormatError(f"{path}: {error}") from None
        files = {path, *(file for file, _ in self._outer.values())}
        self.nbytes = sum(file.stat().st_size for file in files)
        self.skeleton = model.SerializeToString()
        self.notes = (f"left in the graph: {listed(left)}",) if left else ()

    def _take_all(self, model: Any) -> list[str]:
        """Move all values out of the model that can be; names of tensors that stay."""
        left = []
        for name, tensor in model_tensors(model):
            try:
                if tensor.data_type in DTYPES:
                    self._take(name, tensor)
                elif tensor.data_location == EXTERNAL:
                    raise FormatError("has its values in a file and a dtype that is not read")
                else:
                    left.append(name)
            except FormatError as error:
                raise FormatError(f"tensor {name!r} {error}") from None
        return left

    def _take(self, name: str, tensor: Any) -> None:
        """Move a tensor's values out of the model."""
        if name in self.entries:
            raise FormatError("stands twice in the model")
        if tensor.HasField("segment"):
            raise FormatError("is given in segments, which is not read")
        nbytes = tensor_length(tensor)
        if tensor.data_location == EXTERNAL:
            self._outer[name] = outer_file(tensor, self.path.parent)
        else:
            self._inner[name] = inner_values(tensor)
        self.entries[name] = Entry(DTYPES[tensor.data_type], tuple(tensor.dims), nbytes)
        without_values(tensor)

    def array(self, name: str) -> NDArray[Any]:
        entry, dtype = self.entries[name], NUMPY_DTYPES[self.entries[name].dtype]
        if entry.nbytes == 0:
            return np.empty(entry.shape, dtype)
        if name in self._outer:
            file, start = self._outer[name]
            raw = np.asarray(np.memmap(file, np.uint8, "r", start, (entry.nbytes,)))
        else:
            raw = self._inner[name]
        if raw.ctypes.data % dtype.alignment:
            raw = raw.copy()
        return raw.view(dtype).reshape(entry.shape)
