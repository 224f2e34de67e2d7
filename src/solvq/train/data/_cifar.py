"""CIFAR-10: the official batches as Python pickles or as binary files, packed or not."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from solvq.files import FormatError
from solvq.train.data._checksums import verify, verify_path
from solvq.train.data._cifar_pickle import unpickle
from solvq.train.data._divide import if_both
from solvq.train.data._source import Arrays, Division, Source

PYTHON, BINARY = "cifar-10-batches-py", "cifar-10-batches-bin"
NAMES = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]
ARCHIVES = ("cifar-10-python.tar.gz", "cifar-10-binary.tar.gz")
TAR = (".tar.gz", ".tgz", ".tar")
PIXELS = 3072

Batches = dict[str, bytes]


def read_cifar(source: str, size: int | None) -> Source | None:
    """Read CIFAR-10 from its official files; the official test batch is for testing.

    Files with official names must have the official digests.
    """
    path = Path(source)
    if path.is_file() and path.name.lower().endswith(TAR):
        return _source(path, *_from_tar(path))
    if not path.is_dir():
        return None
    for folder in (path, path / PYTHON, path / BINARY):
        if any((folder / name).is_file() for name in (NAMES[0], NAMES[0] + ".bin")):
            return _source(path, *_from_folder(folder))
    for name in ARCHIVES:
        if (path / name).is_file():
            return _source(path / name, *_from_tar(path / name))
    return None


def _from_folder(folder: Path) -> tuple[Batches, bool]:
    ending = "" if (folder / NAMES[0]).is_file() else ".bin"
    official = folder.resolve().name
    batches, verified = {}, True
    for name in NAMES:
        path = folder / (name + ending)
        if path.is_file():
            batches[path.name] = path.read_bytes()
            verified &= verify(f"{official}/{path.name}", str(path), BytesIO(batches[path.name]))
    return batches, verified


def _from_tar(path: Path) -> tuple[Batches, bool]:
    verified = verify_path(path)
    wanted = {*NAMES, *(name + ".bin" for name in NAMES)}
    batches = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name = PurePosixPath(member.name).name
                if name in wanted and member.isfile() and member.size <= 1 << 26:
                    file = archive.extractfile(member)
                    batches[name] = b"" if file is None else file.read()
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise
        raise FormatError(f"{path}: not a tar archive that can be read ({error})") from error
    if not batches:
        raise FormatError(
            f"{path}: no batches of CIFAR-10 in it (data_batch_1 to data_batch_5, test_batch); "
            "unpack other archives, or use a zip"
        )
    return batches, verified


def _source(path: Path, batches: Batches, verified: bool) -> Source:
    images, marks = [], []
    for name in sorted(batches):
        parse: Callable[[bytes, str], NDArray[np.uint8]]
        parse = _from_binary if name.endswith(".bin") else unpickle
        rows = parse(batches[name], f"{path}: {name}")
        images.append(rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        marks.append(np.full(len(rows), name.startswith("test")))
    missing = [name for name in NAMES if not {name, name + ".bin"} & set(batches)]
    note = f"CIFAR-10 from {path}: {len(batches)} batches"
    note += f", without {', '.join(missing)}" if missing else ""
    note += "; official checksums agree" if verified else "; names are not official, not verified"
    test = np.concatenate(marks)
    return Arrays("CIFAR-10", Division(if_both(test), None, note), np.concatenate(images))


def _from_binary(data: bytes, where: str) -> NDArray[np.uint8]:
    if not data or len(data) % (PIXELS + 1):
        raise FormatError(
            f"{where} has {len(data)} bytes; a binary batch has {PIXELS + 1} an image: one for the "
            "class and 3072 for the pixels"
        )
    return np.frombuffer(data, np.uint8).reshape(-1, PIXELS + 1)[:, 1:]
