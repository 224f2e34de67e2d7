"""A model is more than its weights: folders whose other files go along."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from solvq.files import FormatError, check_target

WEIGHTS = "model.safetensors"
FILES = (".safetensors", ".npz", ".onnx")  # what is written by these names is a file


def is_folder(source: Path, target: Path) -> bool:
    """Whether a model becomes a folder: if it is one, and the output is not named as a file."""
    return source.is_dir() and target.suffix.lower() not in FILES


def check_output(source: Path, target: Path, force: bool) -> None:
    """Refuse an output, file or folder, that must not or cannot be written."""
    if not is_folder(source, target):
        check_target(target, force)
        return
    if target.exists() and not target.is_dir():
        raise FormatError(f"{target}: is a file; a folder becomes a folder: give another name")
    if target.exists() and target.resolve() == source.resolve():
        raise FormatError(f"{target}: is the input; give another folder")
    if target.exists() and not force:
        raise FileExistsError(f"{target}: exists; use --force (force=True) to replace its files")
    others = [f.name for f in target.iterdir() if _is_weights(f)] if target.is_dir() else []
    if others:
        raise FormatError(
            f"{target}: holds other weights ({others[0]}), which would be taken for those of the "
            "model; remove them, or give another folder"
        )
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{target.parent}: no such folder")


def _is_weights(file: Path) -> bool:
    """Whether a file would be read as weights beside, or in place of, those written."""
    if file.name.endswith(".index.json"):
        return True
    return file.suffix in (".safetensors", ".bin") and file.name != WEIGHTS


@contextmanager
def output(source: Path, target: Path, companions: Sequence[Path]) -> Iterator[Path]:
    """File to write the weights to; a folder appears whole, with all files that go along."""
    if not is_folder(source, target):
        yield target
        return
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        part.mkdir()
        yield part / WEIGHTS
        for file in companions:
            copy = part / file.relative_to(source)
            copy.parent.mkdir(exist_ok=True)
            shutil.copyfile(file, copy)
        if not target.exists():
            part.rename(target)
            return
        for file in [file for file in part.rglob("*") if file.is_file()]:
            place = target / file.relative_to(part)
            place.parent.mkdir(exist_ok=True)
            file.replace(place)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(target)) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)


def weights_file(path: Path) -> Path:
    """File of weights of a path that may be a folder."""
    return path / WEIGHTS if path.is_dir() else path
