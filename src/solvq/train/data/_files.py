"""Image files of a folder or a zip archive, under their names relative to it."""

from __future__ import annotations

import os
import threading
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from solvq.files import FormatError

SUFFIXES = {
    *(".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pgm"),
    *(".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp"),
}
DAMAGE = (
    *(ValueError, OSError, EOFError, RuntimeError),  # RuntimeError: password, unknown method
    *(zipfile.BadZipFile, zlib.error),
)
LARGEST = 1 << 29


@dataclass(frozen=True)
class Files:
    """Image files: their names, sorted, and how to read each.

    Attributes
    ----------
    where : str
        The folder or archive they are in.
    names : sequence of str
        Relative to it, with ``/``.
    read : callable
        Gives the bytes of a file by its place among the names; safe to call from threads.
    """

    where: str
    names: Sequence[str]
    read: Callable[[int], bytes]


def is_image(name: str) -> bool:
    """Tell an image by its ending; hidden files and what archivers add are none."""
    parts = PurePosixPath(name).parts
    hidden = any(part.startswith((".", "__MACOSX")) for part in parts)
    return not hidden and PurePosixPath(name).suffix.lower() in SUFFIXES


def list_folder(folder: Path) -> Files:
    """List the image files of a folder and all folders in it; links to folders are not followed."""
    names = []
    for parent, _, files in os.walk(folder):
        inside = Path(parent).relative_to(folder)
        names += [(inside / file).as_posix() for file in files]
    images = sorted(filter(is_image, names))

    def read(index: int) -> bytes:
        return (folder / images[index]).read_bytes()

    return Files(str(folder), images, read)


def list_zip(path: Path) -> Files:
    """List the image files of a zip archive, which is read in place."""
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, ValueError, OSError) as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise
        raise FormatError(f"{path}: not a zip archive that can be read ({error})") from error
    images = sorted(filter(is_image, archive.namelist()))
    lock = threading.Lock()

    def read(index: int) -> bytes:
        name = images[index]
        nbytes = archive.getinfo(name).file_size
        if nbytes > LARGEST:
            raise FormatError(f"{path}: {name} unpacks to {nbytes} bytes; at most {LARGEST} do")
        try:
            with lock:
                return archive.read(name)
        except DAMAGE as error:
            raise FormatError(f"{path}: {name} cannot be unpacked ({error})") from error

    return Files(str(path), images, read)


def join(where: str, parts: Sequence[Files]) -> Files:
    """Put the files of several folders or archives into one list.

    Parameters
    ----------
    where : str
        What holds them all.
    parts : sequence of Files
        Their names are kept and must differ.
    """
    home = [(part, place) for part in parts for place in range(len(part.names))]

    def read(index: int) -> bytes:
        part, place = home[index]
        return part.read(place)

    return Files(where, [part.names[place] for part, place in home], read)
