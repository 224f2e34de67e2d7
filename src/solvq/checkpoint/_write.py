"""The file that a compressed checkpoint becomes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from solvq.checkpoint._container import (
    NAMES,
    NUMPY_DTYPES,
    Entry,
    SafetensorsWriter,
    by_alignment,
    header_size,
    late,
)
from solvq.checkpoint._encode import Encoded, encode, weighted_squares
from solvq.checkpoint._job import Job, Progress, counted
from solvq.checkpoint._lossless import pack_lossless
from solvq.checkpoint._schema import KEY, MANIFEST, SKELETON, Description, signature
from solvq.checkpoint._scheme import Stored, credible
from solvq.checkpoint._settings import Recipe
from solvq.scalar._kernels import Float64

SIGNED = f"{10**9} {2**32:08x}"  # as long as any entry of the metadata


class Kept(NamedTuple):
    """A tensor that stays as it is: why, and its bytes in fewer, if there is such a form."""

    reason: str
    stream: NDArray[np.uint8] | None = None

    def nbytes(self, entry: Entry) -> int:
        """Bytes that it takes."""
        return entry.nbytes if self.stream is None else self.stream.size


def kept(job: Job, name: str, reason: str) -> Kept:
    """A tensor that is kept, coded without loss if that was asked for and pays."""
    entry = job.entries[name]
    wanted = job.settings.entropy or job.settings.lossless
    if not wanted or name in job.biases or entry.dtype not in NUMPY_DTYPES:
        return Kept(reason)
    stream = pack_lossless(job.source.raw(name), NUMPY_DTYPES[entry.dtype].itemsize, job.n_jobs)
    pays = stream.size < entry.nbytes and credible(entry.nbytes, stream.size)
    return Kept(reason, stream if pays else None)


def results(job: Job, recipes: Mapping[str, Recipe]) -> Iterator[tuple[str, Encoded | Kept]]:
    """Each tensor compressed or kept, in the order of the file."""

    def work(name: str) -> Encoded | Kept:
        if name not in recipes:
            return kept(job, name, job.kept[name])

        def compressed() -> Encoded:
            return encode(job.tensor(name), recipes[name], job.settings, job.n_jobs)

        found = job.attempt(name, compressed)
        job.source.release(name)
        if isinstance(found, str):
            return kept(job, name, found)
        if sum(part.nbytes for part in found.parts) >= job.entries[name].nbytes:
            return kept(job, name, "would not shrink")
        return found

    return job.in_order(list(job.entries), work)


def reserved(job: Job, recipes: Mapping[str, Recipe]) -> int:
    """Bytes of the longest header that the tensors can need, the manifest's entry included."""
    found: Stored = {MANIFEST: ("U8", (_most(job),))}
    if job.source.skeleton is not None:
        found[SKELETON] = ("U8", (_most(job),))
    for name, entry in job.entries.items():
        if name in recipes:
            parts = ("codebook", "indices", *(("scales",) if recipes[name].scale else ()))
            found |= {f"{name}:{part}": ("F8_E8M0", (entry.nbytes,)) for part in parts}
        elif job.settings.entropy or job.settings.lossless:
            found[f"{name}:lossless"] = (entry.dtype, (*entry.shape, entry.nbytes))
        else:
            found[name] = (entry.dtype, entry.shape)
    return header_size(found.items(), job.source.metadata | {KEY: SIGNED}, _most(job))


def _most(job: Job) -> int:
    """More bytes than a compressed file can have."""
    tensors = sum(entry.nbytes for entry in job.entries.values())
    return 2 * tensors + len(job.source.skeleton or b"") + (1 << 20)


def _write_raw(writer: SafetensorsWriter, job: Job, name: str, reason: str) -> Description:
    """Append a tensor as it is."""
    entry = job.entries[name]
    crc = writer.add(name, entry.dtype, entry.shape, job.source.raw(name))
    return Description(entry.dtype, entry.shape, reason, crc32=(crc,))


def _write_result(
    writer: SafetensorsWriter, job: Job, name: str, result: Encoded | Kept
) -> Description:
    """Append a tensor, compressed or kept."""
    if isinstance(result, Kept):
        if result.stream is None:
            return _write_raw(writer, job, name, result.reason)
        entry = job.entries[name]
        found = Description(entry.dtype, entry.shape, result.reason, coded=result.stream.size)
        parts = [result.stream]
    else:
        found, parts = result.description, result.parts
    stored = found.stored(name).items()
    checks = [
        writer.add(key, dtype, shape, part)
        for (key, (dtype, shape)), part in zip(stored, parts, strict=True)
    ]
    return replace(found, crc32=tuple(checks))


def _write_bias(
    writer: SafetensorsWriter, job: Job, name: str, shift: Float64 | None
) -> Description:
    """Append a bias, with what its weights need added."""
    if shift is None:
        return _write_raw(writer, job, name, job.kept[name])
    bias = job.source.array(name)
    with np.errstate(over="ignore"):
        moved = (bias.astype(np.float64) + shift).astype(bias.dtype)
    crc = writer.add(name, NAMES[bias.dtype], bias.shape, moved)
    error, energy = weighted_squares(bias, None, moved), weighted_squares(bias)
    reason = f"{job.kept[name]}, corrected"
    return Description(
        NAMES[bias.dtype], bias.shape, reason, relative_error=error / (energy or 1.0), crc32=(crc,)
    )


def write_tensors(
    writer: SafetensorsWriter,
    job: Job,
    recipes: Mapping[str, Recipe],
    progress: Progress | None,
) -> dict[str, Description]:
    """Append every tensor; those that would leave what follows unaligned come last."""
    found: dict[str, Description] = {}
    shifts: dict[str, Float64 | None] = {}
    last: dict[str, str] = {}
    for name, result in counted(results(job, recipes), job.entries, progress):
        raw = isinstance(result, Kept) and result.stream is None
        if name in job.biases or (raw and late(job.entries[name])):
            last[name] = "" if isinstance(result, Encoded) else result.reason
            continue
        found[name] = _write_result(writer, job, name, result)
        if isinstance(result, Encoded):
            shifts[name] = result.shift
    for name in sorted(last, key=lambda n: (late(job.entries[n]), by_alignment(job.entries[n]))):
        if name in job.biases:
            found[name] = _write_bias(writer, job, name, shifts.get(job.biases[name]))
        else:
            found[name] = _write_raw(writer, job, name, last[name])
    return {name: found[name] for name in job.entries}


def finish(writer: SafetensorsWriter, job: Job, packed: NDArray[np.uint8]) -> None:
    """Append what is not a tensor and complete the file."""
    if job.source.skeleton is not None:
        data = np.frombuffer(job.source.skeleton, np.uint8)
        writer.add(SKELETON, "U8", data.shape, data)
    writer.add(MANIFEST, "U8", packed.shape, packed)
    writer.finish(job.source.metadata | {KEY: signature(packed)})
