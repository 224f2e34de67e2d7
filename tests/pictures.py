"""Small images and archives for the tests of image data."""

from __future__ import annotations

import hashlib
import io
import zipfile

import numpy as np
from PIL import Image

RANDOM = np.random.default_rng(0)


def pixels(*shape):
    return RANDOM.integers(0, 256, shape, dtype=np.uint8)


def encode(array, form="PNG", **options):
    file = io.BytesIO()
    Image.fromarray(array).save(file, form, **options)
    return file.getvalue()


def everything(split):
    return split.batch(np.arange(len(split)))


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def write_zip(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def md5(data):
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
