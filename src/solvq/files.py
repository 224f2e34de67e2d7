"""Files that are written: whole or not at all, under a name that may be used; and JSON in them."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


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


def finite(value: Any) -> Any:
    """JSON-ready value with None for NaN and infinity, which JSON does not know."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def json_text(value: Any) -> str:
    """A value as strict JSON, for files and for machines."""
    return json.dumps(finite(value), indent=2, allow_nan=False)


def json_lines(path: Path) -> list[dict[str, Any]]:
    """What a file of JSON lines holds; nothing if there is no file.

    Raises
    ------
    FormatError
        If a line is damaged.
    """
    lines = path.read_text().splitlines() if path.is_file() else []
    try:
        return [json.loads(line) for line in lines]
    except ValueError as error:
        raise FormatError(f"{path}: not JSON lines ({error})") from None
