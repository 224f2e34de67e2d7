"""Which images are for testing: by the names of folders and files, else by a hash."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

EVERY = 10
WORDS = {
    **dict.fromkeys(("train", "training"), False),
    **dict.fromkeys(("val", "valid", "validation", "test", "testing"), True),
}
FOLDER = re.compile(rf"(?:^|.*[_\-. ])({'|'.join(WORDS)})(?:_lmdb)?")
FILE = re.compile(rf"({'|'.join(WORDS)})(?![a-z]).*")


def named_for_test(names: Sequence[str]) -> NDArray[np.bool_] | None:
    """Read the split off names, if it is there.

    A folder named train, val or test (or ending so, as in ``church_train``) decides for all that
    is in it, the outermost such folder first; then a file name that begins so, as in
    ``val_017.png``. val counts as test. Images that say nothing belong to training.

    Parameters
    ----------
    names : sequence of str
        Relative, with ``/``.

    Returns
    -------
    array of bool, or None
        Marks of test images; None unless images of both kinds are named.
    """
    words = [_word(name) for name in names]
    if True not in words or False not in words:
        return None
    return np.array([word is True for word in words])


def if_both(marks: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """Marks of test images that a source has itself; None unless there are images of both kinds."""
    return marks if 0 < marks.sum() < len(marks) else None


def _word(name: str) -> bool | None:
    *folders, file = PurePosixPath(name.lower()).parts
    for folder in folders:
        if match := FOLDER.fullmatch(folder):
            return WORDS[match[1]]
    match = FILE.fullmatch(file)
    return None if match is None else WORDS[match[1]]


def held_out(names: Sequence[str]) -> NDArray[np.bool_]:
    """Keep about every tenth name for testing, chosen by a hash of the name alone.

    The choice does not depend on order, on other names or on a seed, so that it stays when
    images are added. Equal names (of a group) fall on one side. If there are two different
    names, each side has one.

    Parameters
    ----------
    names : sequence of str
        One an image: its own name or that of its group.
    """
    numbers = {name: _number(name) for name in set(names)}
    chosen = {name for name, number in numbers.items() if number % EVERY == 0}
    if len(chosen) in {0, len(numbers)}:
        chosen = {min(numbers, key=lambda name: (numbers[name], name))}
    return np.array([name in chosen for name in names], bool)


def _number(name: str) -> int:
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big")
