"""What a compressed checkpoint says of itself: version 2 of the layout.

A plain safetensors file. A tensor ``NAME`` that was kept stands under its own name, or, coded
without loss, under ``NAME:lossless``; a compressed one is ``NAME:codebook`` (its tables, flat,
filled up to a multiple of 8 bytes), ``NAME:scales`` if it has any, and ``NAME:indices`` (packed
bits, or the stream of `solvq.rans`). The last entry, ``solvq:manifest``, is a JSON text compressed
by zlib, with the settings, a description of every tensor, and the checksum of every entry;
``solvq:skeleton``, before it, is the ONNX model that the tensors belong to, without them. The
metadata entry ``solvq`` holds the version and the checksum of the manifest; all other metadata is
the original's.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvq.checkpoint._container import NUMPY_DTYPES
from solvq.checkpoint._layout import Layout
from solvq.checkpoint._report import TensorReport
from solvq.checkpoint._scheme import Scheme, Stored, credible
from solvq.files import FormatError

VERSION = 2
DAMAGE = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)
KEY, MANIFEST, SKELETON = "solvq", "solvq:manifest", "solvq:skeleton"
LARGEST = 1 << 22  # bytes of a manifest, and of the description of an entry beside its name
ENTRY = 1 << 10
DIGITS = ".12g"  # of its figures
FIGURES = ("price", "relative_error", "lower_bound", "energy")


@dataclass(frozen=True)
class Description:
    """A tensor of a compressed checkpoint as its file describes it.

    ``scheme`` is None for a tensor that was kept; ``coded`` are then the bytes that it takes
    without loss, None where it is stored as it is. ``price`` is that of a bit, if its indices are
    entropy-coded; ``outputs`` the relative error of the layer's outputs, where it is known. A kept
    tensor has an error if its bias was corrected.
    """

    dtype: str
    shape: tuple[int, ...]
    kept_because: str = ""
    scheme: Scheme | None = None
    price: float = 0.0
    relative_error: float = 0.0
    lower_bound: float = 0.0
    energy: float = 0.0
    coded: int | None = None
    crc32: tuple[int, ...] = ()
    outputs: float | None = None

    @property
    def size(self) -> int:
        """Number of values of the tensor."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the tensor itself."""
        return self.size * NUMPY_DTYPES[self.dtype].itemsize

    @property
    def stored_bytes(self) -> int:
        """Bytes that the tensor takes."""
        if self.scheme is not None:
            return self.scheme.nbytes
        return self.nbytes if self.coded is None else self.coded

    def stored(self, name: str) -> Stored:
        """Dtype and shape of the entries that hold the tensor."""
        if self.scheme is not None:
            return self.scheme.stored(name)
        if self.coded is not None:
            return {f"{name}:lossless": ("U8", (self.coded,))}
        return {name: (self.dtype, self.shape)}

    def report(self, name: str, nbytes_after: int) -> TensorReport:
        """What became of the tensor."""
        exact = self.scheme is None and self.coded is None
        return TensorReport(
            name=name,
            shape=self.shape,
            dtype=self.dtype,
            n_values=None if self.scheme is None else self.scheme.n_values,
            layout="" if self.scheme is None else self.scheme.words,
            kept_because=self.kept_because,
            bits_per_weight=8 * nbytes_after / self.size if self.size else 0.0,
            relative_error=self.relative_error,
            lower_bound=self.lower_bound,
            output_error=self.outputs,
            energy=self.energy,
            nbytes_before=nbytes_after if exact else self.nbytes,
            nbytes_after=nbytes_after,
        )

    def check(self) -> None:
        """Raise ValueError where the parts do not fit together."""
        coded = self.scheme is not None or self.coded is not None
        if min(self.shape, default=0) < 0 or (coded and self.dtype not in NUMPY_DTYPES):
            raise ValueError("description is out of range")
        if self.scheme is not None:
            self.scheme.check(self.size)
        elif self.coded is not None and not credible(self.nbytes, self.coded):
            raise ValueError("coded bytes are too few for the tensor")

    def to_json(self) -> dict[str, Any]:
        """What `description` reads, without what is usual."""
        usual = Description(self.dtype, self.shape)
        found: dict[str, Any] = {"dtype": self.dtype, "shape": self.shape}
        for field in fields(self):
            value = getattr(self, field.name)
            if value != getattr(usual, field.name):
                figure = isinstance(value, float)
                found[field.name] = float(format(value, DIGITS)) if figure else value
        if self.scheme is not None:
            found["scheme"] = [getattr(self.scheme, field.name) for field in fields(self.scheme)]
        return found


def _description(raw: dict[str, Any]) -> Description:
    """Description from JSON, checked."""
    scheme = None
    if raw.get("scheme") is not None:
        tables, n_values, values, scales, scale_dtype, coded = raw["scheme"]
        layouts = [None if x is None else Layout(*(int(n) for n in x)) for x in (tables, scales)]
        if layouts[0] is None:
            raise ValueError("scheme has no tables")
        coded = None if coded is None else int(coded)
        scheme = Scheme(layouts[0], int(n_values), str(values), layouts[1], str(scale_dtype), coded)
    price, error, bound, energy = (float(raw.get(key, 0.0)) for key in FIGURES)
    found = Description(
        str(raw["dtype"]),
        tuple(int(n) for n in raw["shape"]),
        str(raw.get("kept_because", "")),
        scheme,
        price,
        error,
        bound,
        energy,
        None if raw.get("coded") is None else int(raw["coded"]),
        tuple(int(n) for n in raw["crc32"]),
        None if raw.get("outputs") is None else float(raw["outputs"]),
    )
    found.check()
    return found


@dataclass(frozen=True)
class Manifest:
    """All that a compressed checkpoint says of itself, but for its version.

    ``notes`` are those of the reader; ``skeleton`` has the bytes of a model without its tensors,
    and their checksum.
    """

    settings: dict[str, Any]
    nbytes_before: int
    plan: dict[str, float]
    notes: tuple[str, ...]
    skeleton: tuple[int, int] | None
    tensors: dict[str, Description]

    def packed(self) -> NDArray[np.uint8]:
        """Bytes of the manifest."""
        tensors = {name: found.to_json() for name, found in self.tensors.items()}
        names = ("settings", "nbytes_before", "plan", "notes", "skeleton")
        fields = {name: getattr(self, name) for name in names}
        text = json.dumps(fields | {"tensors": tensors}, separators=(",", ":"))
        return np.frombuffer(zlib.compress(text.encode(), 9), np.uint8)


def signature(packed: NDArray[np.uint8]) -> str:
    """Metadata entry of a file with such a manifest."""
    return f"{VERSION} {zlib.crc32(packed.tobytes()):08x}"


def _inflated(packed: NDArray[np.uint8], names: Iterable[str]) -> Any:
    """JSON value of the manifest of entries of some names, which limit its size."""
    stream = zlib.decompressobj()
    limit = LARGEST + sum(ENTRY + 6 * len(name) for name in names)
    text = stream.decompress(packed.tobytes(), limit)
    if stream.unconsumed_tail or stream.unused_data or not stream.eof:
        raise ValueError("is cut off, or too long")
    return json.loads(text)


def check_version(path: Any, metadata: dict[str, str]) -> None:
    """Raise FormatError for a file that was not written by compress, or by another version."""
    if KEY not in metadata:
        raise FormatError(f"{path}: not written by solvq compress")
    version = metadata[KEY].partition(" ")[0]
    if version != str(VERSION):
        raise FormatError(
            f"{path}: layout version {version[:20]!r}; this solvq reads version {VERSION}: use the "
            "solvq that wrote it, or a newer one"
        )


def read_manifest(
    path: Any, metadata: dict[str, str], packed: NDArray[np.uint8], names: Iterable[str]
) -> Manifest:
    """Manifest of a compressed checkpoint with entries of some names.

    Raises
    ------
    FormatError
        If it is damaged.
    """
    try:
        if metadata[KEY] != signature(packed):
            raise ValueError("checksum differs")
        raw = _inflated(packed, names)
        tensors = {str(name): _description(item) for name, item in raw["tensors"].items()}
        plan = {str(name): float(value) for name, value in raw["plan"].items()}
        if set(plan) not in (set(), {"loss", "bound"}):
            raise ValueError("plan is out of range")
        notes = tuple(str(note) for note in raw["notes"])
        skeleton = None
        if raw["skeleton"] is not None:
            size, crc = raw["skeleton"]
            skeleton = (int(size), int(crc))
        before = int(raw["nbytes_before"])
        return Manifest(dict(raw["settings"]), before, plan, notes, skeleton, tensors)
    except (*DAMAGE, zlib.error) as error:
        raise FormatError(f"{path}: damaged description of the tensors ({error})") from None
