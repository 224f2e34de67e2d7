"""Files that are written: whole or not at all, under a name that may be used."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class FormatError(ValueError):
    """A file is not what it should be; the message names it and what is wrong."""


def check_target(path: Path, force: bool) -> None:
    """Refuse an output that must not or cannot be written."""
    if path.is_dir():
        raise IsADirectoryError(f"{path}: is a folder; give the name of a file")
    if path.exists() and not path.is_file():
        raise FormatError(f"{path}: is not an ordinary file; give another name")
    if path.exists() and not force:
        raise FileExistsError(f"{path}: exists; use --force (force=True) to replace it")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path.parent}: no such folder")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Name beside ``path`` to write to; it becomes ``path`` when the block ends without an error.

    What was written is removed if the block fails; errors of the system name ``path``.
    """
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        part.unlink(missing_ok=True)
