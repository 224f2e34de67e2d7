"""A checkpoint goes in, a smaller one comes out."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from solvq.checkpoint._container import (
    SafetensorsWriter,
    by_alignment,
    header_size,
    late,
)
from solvq.checkpoint._encode import Encoded, encode
from solvq.checkpoint._plan import Settings
from solvq.checkpoint._report import Report
from solvq.checkpoint._restore import Compressed
from solvq.checkpoint._schema import KEY, Description, Manifest
from solvq.checkpoint._source import Source, open_source
from solvq.files import FormatError, check_target
from solvq.scalar import NonFiniteError

Progress = Callable[[str, int, int], None]
IN_FLIGHT = 1 << 24  # bytes of tensors that may be worked on at once, if none is larger
LONGEST = -1.2345678901234567e-300  # the float with the longest text


def _in_order(
    names: Sequence[str],
    cost: Callable[[str], int],
    work: Callable[[str], Any],
    n_jobs: int | None,
) -> Iterator[tuple[str, Any]]:
    """Results of ``work`` in order, from threads, with a limit on the bytes in flight."""
    limit = max([IN_FLIGHT, *(cost(name) for name in names)])
    waiting: deque[tuple[str, Future[Any]]] = deque()
    held = 0
    with ThreadPoolExecutor(n_jobs or os.cpu_count()) as pool:
        try:
            for name in names:
                while waiting and held + cost(name) > limit:
                    done, future = waiting.popleft()
                    yield done, future.result()
                    held -= cost(done)
                waiting.append((name, pool.submit(work, name)))
                held += cost(name)
            for done, future in waiting:
                yield done, future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _planned(source: Source, settings: Settings) -> dict[str, Description]:
    """Description of every tensor before the work, with figures of the longest text."""
    planned = {}
    for name, entry in source.entries.items():
        reason = settings.keep(name, entry)
        found = Description(entry.dtype, entry.shape, reason)
        if not reason:
            found = replace(
                found,
                layout=settings.layout(entry),
                n_values=settings.n_values,
                relative_error=LONGEST,
                lower_bound=LONGEST,
                energy=LONGEST,
            )
        planned[name] = found
    return planned


def _reserve(manifest: Manifest, original: dict[str, str]) -> int:
    """Bytes that the header of a planned file can take."""
    entries = {k: v for n, found in manifest.tensors.items() for k, v in found.stored(n).items()}
    longest = replace(manifest, seconds=LONGEST, crc32=dict.fromkeys(entries, 2**32))
    spare = 32 * len(manifest.tensors)  # a tensor with NaN is kept, with the reason
    return header_size(entries, longest.metadata(original)) + spare


def _write_kept(writer: SafetensorsWriter, source: Source, names: list[str]) -> None:
    """Append tensors as they are."""
    for name in sorted(names, key=lambda name: by_alignment(source.entries[name])):
        entry = source.entries[name]
        writer.add(name, entry.dtype, entry.shape, source.raw(name))


def _write_all(
    writer: SafetensorsWriter,
    source: Source,
    results: Iterator[tuple[str, Encoded | str]],
    progress: Progress | None,
) -> dict[str, Description]:
    """Append every tensor, compressed or kept, and describe it."""
    found: dict[str, Description] = {}
    unaligned = []
    done, total = 0, sum(entry.nbytes for entry in source.entries.values())
    if progress is not None:
        progress("", done, total)
    for name, result in results:
        entry = source.entries[name]
        if isinstance(result, Encoded):
            found[name] = result.description
            stored = found[name].stored(name)
            for (key, (dtype, shape)), data in zip(stored.items(), result[:2], strict=True):
                writer.add(key, dtype, shape, data)
        else:
            found[name] = Description(entry.dtype, entry.shape, result)
            if late(entry):
                unaligned.append(name)
            else:
                _write_kept(writer, source, [name])
        done += entry.nbytes
        if progress is not None:
            progress(name, done, total)
    _write_kept(writer, source, unaligned)
    return found


def _results(
    source: Source,
    tensors: dict[str, Description],
    settings: Settings,
    skip: bool,
    jobs: int | None,
) -> Iterator[tuple[str, Encoded | str]]:
    """Each tensor compressed, or the reason why it is kept, in the order of the file."""

    def work(name: str) -> Encoded | str:
        found = tensors[name]
        if found.layout is None:
            return found.kept_because
        try:
            return encode(source.array(name), found.layout, settings, jobs)
        except NonFiniteError as error:
            if skip:
                return "NaN or infinite values"
            raise NonFiniteError(
                f"{source.path}: tensor {name!r}: {error}; or keep such tensors as they are with "
                "--skip-nonfinite (skip_nonfinite=True)"
            ) from None

    def cost(name: str) -> int:
        return 0 if tensors[name].layout is None else source.entries[name].nbytes

    return _in_order(list(tensors), cost, work, jobs)


def compress(
    src: str | os.PathLike[str],
    dst: str | os.PathLike[str],
    *,
    skip_nonfinite: bool = False,
    force: bool = False,
    n_jobs: int | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> Report:
    """Write a checkpoint whose weights share few values, with a proof of how good they are.

    Each weight tensor gets the tables that minimise its squared error at the wanted number of
    values; small, one-dimensional and non-float tensors are kept as they are by default.

    Parameters
    ----------
    src : path
        ``.safetensors`` file, folder with ``model.safetensors.index.json``, or ``.npz``.
    dst : path
        Output, one plain safetensors file; it appears whole or not at all.
    skip_nonfinite : bool, default False
        Keep tensors with NaN or infinite values as they are instead of stopping.
    force : bool, default False
        Replace an existing output.
    n_jobs : int, optional
        Threads; all processors by default. Memory stays near the largest tensor.
    progress : callable, optional
        Called with a tensor's name, the bytes done and the bytes in total.
    **settings
        What to compress and how, as `Settings` takes it: ``n_values``, ``per``, ``method``,
        ``include``, ``exclude``, ``min_size``; 16 values per tensor by default.

    Returns
    -------
    Report
        What became of each tensor, and of the whole.

    Raises
    ------
    FormatError
        If ``src`` is not a checkpoint that can be read.
    NonFiniteError
        If a tensor has NaN or infinite values; the message names it.
    ValueError
        If an argument is out of range.
    FileExistsError
        If ``dst`` exists and ``force`` is not set.
    """
    started = time.perf_counter()
    chosen = Settings(**settings)
    target = Path(dst)
    source = open_source(Path(src))
    if KEY in source.metadata:
        raise FormatError(f"{source.path}: is compressed already; decompress it first")
    check_target(target, force)
    tensors = _planned(source, chosen)
    manifest = Manifest(asdict(chosen), source.nbytes, 0.0, tensors, {})
    results = _results(source, tensors, chosen, skip_nonfinite, n_jobs)
    with SafetensorsWriter(target, _reserve(manifest, source.metadata)) as writer:
        found = _write_all(writer, source, results, progress)
        seconds = time.perf_counter() - started
        manifest = replace(manifest, tensors=found, crc32=writer.crc32, seconds=seconds)
        writer.finish(manifest.metadata(source.metadata))
    return Compressed(target).report()
