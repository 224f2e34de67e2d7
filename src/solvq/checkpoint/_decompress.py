"""A compressed checkpoint becomes an ordinary file again."""

from __future__ import annotations

import os
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from solvq.checkpoint._carry import FILES, check_output, is_folder, output
from solvq.checkpoint._container import Entry, SafetensorsWriter, by_alignment, header_size, late
from solvq.checkpoint._report import Report
from solvq.checkpoint._restore import Compressed
from solvq.checkpoint.source._folder import companions_of
from solvq.checkpoint.source._onnx_model import write_onnx
from solvq.checkpoint.source._open import READERS
from solvq.files import FormatError, replacing


@final
class Counter:
    """Tells of the bytes of tensors that are done."""

    def __init__(self, report: Report, tell: Callable[[str, int, int], None] | None) -> None:
        self._sizes = {tensor.name: tensor.nbytes_before for tensor in report.tensors}
        self._tell, self._done = tell, 0
        self.done("")

    def done(self, name: str) -> None:
        """Count a tensor."""
        self._done += self._sizes.get(name, 0)
        if self._tell is not None:
            self._tell(name, self._done, sum(self._sizes.values()))


def write_safetensors(source: Compressed, target: Path, counter: Counter) -> None:
    """Write a plain safetensors file, with the metadata of the original."""
    tensors = source.manifest.tensors
    sizes = {t.name: Entry(t.dtype, t.shape, t.nbytes_before) for t in source.report().tensors}
    names = sorted(sizes, key=lambda n: (late(sizes[n]), late(sizes[n]) and by_alignment(sizes[n])))
    stored = {name: (entry.dtype, entry.shape) for name, entry in sizes.items()}
    total = sum(entry.nbytes for entry in sizes.values())
    with SafetensorsWriter(target, header_size(stored.items(), source.metadata, total)) as writer:
        for name in names:
            writer.add(name, tensors[name].dtype, tensors[name].shape, source.raw(name))
            counter.done(name)
        writer.finish(source.metadata)


def _write_npz(source: Compressed, target: Path, counter: Counter) -> None:
    """Write a NumPy archive."""
    with replacing(target) as part, zipfile.ZipFile(part, "w") as archive:
        for name, found in source.manifest.tensors.items():
            array = source.array(name)
            if array.dtype.kind == "V":
                raise FormatError(
                    f"{target}: tensor {name!r} is {found.dtype}, which .npz cannot hold; give "
                    ".safetensors"
                )
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
            counter.done(name)


def _write_onnx(source: Compressed, target: Path, counter: Counter) -> None:
    """Write the ONNX model that was compressed, with the restored tensors."""

    def array(name: str) -> NDArray[Any]:
        counter.done(name)
        return source.array(name)

    write_onnx(source.skeleton, array, target, force=True)


WRITERS = dict(zip(FILES, (write_safetensors, _write_npz, _write_onnx), strict=True))


def decompress(
    src: str | os.PathLike[str],
    dst: str | os.PathLike[str],
    *,
    force: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> Report:
    """Write a compressed checkpoint back as an ordinary file.

    Names, shapes, dtypes and metadata are those of the original; kept tensors are bit for bit
    the same.

    Parameters
    ----------
    src : path
        File or folder that `compress` wrote.
    dst : path
        Output, ``.safetensors``, ``.npz``, or ``.onnx`` if it was one; for a folder also a folder,
        with the files that go along. It appears whole or not at all.
    force : bool, default False
        Replace an existing output.
    progress : callable, optional
        Called with a tensor's name, the bytes done and the bytes in total.

    Returns
    -------
    Report
        What the file says became of each tensor; the seconds are those of this call.

    Raises
    ------
    FormatError
        If ``src`` was not written by `compress` or is damaged.
    FileExistsError
        If ``dst`` exists and ``force`` is not set.
    """
    started = time.perf_counter()
    opened, target = Path(src), Path(dst)
    source = Compressed(opened)
    write = WRITERS.get(target.suffix.lower(), write_safetensors)
    unwritten = set(READERS) - set(WRITERS)
    if not is_folder(opened, target) and target.suffix.lower() in unwritten:
        raise FormatError(f"{target}: cannot be written; give a name in {', '.join(WRITERS)}")
    check_output(opened, target, force)
    report = source.report()
    companions = companions_of(opened) if opened.is_dir() else ()
    with output(opened, target, companions) as file:
        write(source, file, Counter(report, progress))
    return replace(report, seconds=time.perf_counter() - started)
