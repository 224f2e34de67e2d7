"""A safetensors file as a source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvq.checkpoint._container import SafetensorsReader
from solvq.checkpoint.source._base import Source


class SafetensorsSource(Source):
    """Tensors of a safetensors file, mapped, not loaded."""

    def __init__(self, path: Path) -> None:
        self._reader = SafetensorsReader(path)
        self.path, self.nbytes = path, path.stat().st_size
        self.entries, self.metadata = self._reader.entries, self._reader.metadata

    def array(self, name: str) -> NDArray[Any]:
        return self._reader.array(name)

    def raw(self, name: str) -> NDArray[np.uint8]:
        return self._reader.raw(name)

    def release(self, name: str) -> None:
        self._reader.release(name)
