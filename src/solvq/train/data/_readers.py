"""Which reader opens what: one visible table."""

from __future__ import annotations

from collections.abc import Callable

from solvq.train.data._cifar import read_cifar
from solvq.train.data._folder import read_folder
from solvq.train.data._gtsrb import read_gtsrb
from solvq.train.data._hugging_face import read_hugging_face
from solvq.train.data._lsun import read_lsun
from solvq.train.data._npz import read_npz
from solvq.train.data._photos import read_photos
from solvq.train.data._source import Source
from solvq.train.data._zip import read_zip

Reader = Callable[[str, int | None], Source | None]

# Asked in this order; the first that knows the source gives it, the others return None.
READERS: dict[str, Reader] = {
    "photos": read_photos,
    "hugging-face": read_hugging_face,
    "npz": read_npz,
    "cifar": read_cifar,
    "gtsrb": read_gtsrb,
    "lsun": read_lsun,
    "zip": read_zip,
    "folder": read_folder,
}
