"""What a compressed checkpoint says of itself: version 1 of the layout.

A plain safetensors file. A tensor ``NAME`` that was kept stands under its own name; a compressed
one is ``NAME:codebook`` (its tables, flat, filled up to a multiple of 8 bytes) and
``NAME:indices`` (packed bits). The metadata entry ``solvq`` is a JSON text with the version, the
settings, a description of every tensor, and the checksum of every entry; ``solvq.crc32`` is the
checksum of that text. All other metadata is the original's.
"""

from __future__ import annotations

import json
import math
import zlib
from dataclasses import asdict, dataclass
from typing import Any

from solvq.checkpoint._container import ALIGN, NUMPY_DTYPES
from solvq.checkpoint._pack import index_width, packed_size
from solvq.checkpoint._plan import MAX_VALUES, Layout
from solvq.checkpoint._report import TensorReport
from solvq.files import FormatError

VERSION = 1
DAMAGE = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)
KEY, CHECK = "solvq", "solvq.crc32"


@dataclass(frozen=True)
class Description:
    """A tensor of a compressed checkpoint as its file describes it.

    ``layout`` and ``n_values`` are None for a tensor that was kept.
    """

    dtype: str
    shape: tuple[int, ...]
    kept_because: str = ""
    layout: Layout | None = None
    n_values: int | None = None
    relative_error: float = 0.0
    lower_bound: float = 0.0
    energy: float = 0.0

    @property
    def size(self) -> int:
        """Number of values of the tensor."""
        return math.prod(self.shape)

    def stored(self, name: str) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Dtype and shape of the entries that hold the tensor."""
        if self.layout is None or self.n_values is None:
            return {name: (self.dtype, self.shape)}
        itemsize = NUMPY_DTYPES[self.dtype].itemsize
        tables = self.layout.n_tables * self.n_values * itemsize
        filled = -(-tables // ALIGN) * ALIGN // itemsize
        packed = packed_size(self.size, index_width(self.n_values))
        return {f"{name}:codebook": (self.dtype, (filled,)), f"{name}:indices": ("U8", (packed,))}

    def report(self, name: str, nbytes_after: int) -> TensorReport:
        """What became of the tensor."""
        return TensorReport(
            name=name,
            shape=self.shape,
            dtype=self.dtype,
            n_values=self.n_values,
            kept_because=self.kept_because,
            bits_per_weight=8 * nbytes_after / self.size if self.size else 0.0,
            relative_error=self.relative_error,
            lower_bound=self.lower_bound,
            energy=self.energy,
            nbytes_before=(
                nbytes_after
                if self.n_values is None
                else self.size * NUMPY_DTYPES[self.dtype].itemsize
            ),
            nbytes_after=nbytes_after,
        )

    def check(self) -> None:
        """Raise ValueError where the parts do not fit together."""
        if self.layout is None and self.n_values is None:
            return
        if self.layout is None or self.n_values is None or self.dtype not in NUMPY_DTYPES:
            raise ValueError("description is incomplete")
        tables, length = self.layout
        if not (1 <= self.n_values <= MAX_VALUES and tables >= 1 and length >= 1):
            raise ValueError("description is out of range")
        if not (tables - 1) * length < self.size <= tables * length:
            raise ValueError("tables do not cover the tensor")


@dataclass(frozen=True)
class Manifest:
    """All that a compressed checkpoint says of itself."""

    settings: dict[str, Any]
    nbytes_before: int
    seconds: float
    tensors: dict[str, Description]
    crc32: dict[str, int]

    def metadata(self, original: dict[str, str]) -> dict[str, str]:
        """Metadata of the file: the original's and the manifest."""
        text = json.dumps({"version": VERSION} | asdict(self), separators=(",", ":"))
        return original | {KEY: text, CHECK: f"{zlib.crc32(text.encode()):08x}"}


def _description(raw: dict[str, Any]) -> Description:
    """Description from JSON, checked."""
    layout = None if raw["layout"] is None else Layout(*(int(n) for n in raw["layout"]))
    shape = tuple(int(n) for n in raw["shape"])
    if min(shape, default=0) < 0 or str(raw["dtype"]) != raw["dtype"]:
        raise ValueError("shape or dtype is out of range")
    n_values = None if raw["n_values"] is None else int(raw["n_values"])
    figures = (float(raw[key]) for key in ("relative_error", "lower_bound", "energy"))
    found = Description(raw["dtype"], shape, str(raw["kept_because"]), layout, n_values, *figures)
    found.check()
    return found


def read_manifest(path: Any, metadata: dict[str, str]) -> Manifest:
    """Manifest of a compressed checkpoint.

    Raises
    ------
    FormatError
        If there is none, it is damaged, or of a version that is not known here.
    """
    if KEY not in metadata:
        raise FormatError(f"{path}: not written by solvq compress")
    text = metadata[KEY]
    try:
        if int(metadata.get(CHECK, ""), 16) != zlib.crc32(text.encode()):
            raise ValueError("checksum differs")
        raw = json.loads(text)
        if raw["version"] != VERSION:
            raise FormatError(
                f"{path}: layout version {raw['version']}; this solvq reads version {VERSION}: "
                "upgrade solvq"
            )
        tensors = {str(name): _description(item) for name, item in raw["tensors"].items()}
        crc32 = {str(name): int(value) for name, value in raw["crc32"].items()}
        return Manifest(
            dict(raw["settings"]), int(raw["nbytes_before"]), float(raw["seconds"]), tensors, crc32
        )
    except FormatError:
        raise
    except DAMAGE as error:
        raise FormatError(f"{path}: damaged description of the tensors ({error})") from None
