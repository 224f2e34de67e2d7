"""GTSRB, the German traffic signs: official folders and archives, split by track."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from solvq.train.data._checksums import verify_path
from solvq.train.data._divide import if_both
from solvq.train.data._files import Files, join, list_folder, list_zip
from solvq.train.data._source import Division, Encoded, Source

ZIPS = ("GTSRB_Final_Training_Images.zip", "GTSRB-Training_fixed.zip")
TEST_ZIP = "GTSRB_Final_Test_Images.zip"
TRAIN = re.compile(r"(?:.*/)?(\d{5})/(\d{5})_\d{5}\.ppm")
TEST = re.compile(r"(?:.*/)?Final_Test/Images/\d{5}\.ppm")
HOMES = ("", "Images", "Training", "Final_Training/Images")


def read_gtsrb(source: str, size: int | None) -> Source | None:
    """Read the official traffic signs, with the margin that the photographs have around them.

    The test images of the official Final_Test are for testing. Where they are missing, whole
    tracks are kept instead: the 30 frames of one sign are nearly copies, so that a split by image
    would test on what was trained on.
    """
    path = Path(source)
    parts, verified = _parts(path)
    names = [name for part in parts for name in part.names]
    if not any(TRAIN.fullmatch(name) or TEST.fullmatch(name) for name in names):
        return None
    files = _only_signs(join(str(path), parts))
    tracks = [TRAIN.fullmatch(name) for name in files.names]
    marks = np.array([track is None for track in tracks])
    groups = [
        name if track is None else f"{track[1]}/{track[2]}"
        for name, track in zip(files.names, tracks, strict=True)
    ]
    note = (
        f"GTSRB from {path}: {(~marks).sum()} training images, {marks.sum()} official test images"
    )
    note += "; checksums of the official archives agree" if verified else ""
    labels = [f"{path}: {name}" for name in files.names]
    return Encoded("GTSRB", Division(if_both(marks), groups, note), labels, files.read)


def _parts(path: Path) -> tuple[list[Files], bool]:
    """Return the lists of files that may be GTSRB, and whether official digests were met."""
    if path.is_file() and path.suffix.lower() == ".zip":
        files = list_zip(path)
        if any(map(TRAIN.fullmatch, files.names)) or any(map(TEST.fullmatch, files.names)):
            return [files], verify_path(path)
        return [], False
    if not path.is_dir():
        return [], False
    roots = [path, path / "GTSRB"]
    if any((root / home / "00000").is_dir() for root in roots for home in HOMES):
        return [list_folder(path)], False
    if any((root / "Final_Test" / "Images").is_dir() for root in roots):
        return [list_folder(path)], False
    zips = [path / name for name in ZIPS if (path / name).exists()][:1]
    zips += [path / TEST_ZIP] if (path / TEST_ZIP).exists() else []
    verified = [verify_path(part) for part in zips]
    return [list_zip(part) for part in zips], all(verified)


def _only_signs(files: Files) -> Files:
    signs = [
        place
        for place, name in enumerate(files.names)
        if TRAIN.fullmatch(name) or TEST.fullmatch(name)
    ]
    return Files(
        files.where,
        [files.names[place] for place in signs],
        lambda index: files.read(signs[index]),
    )
