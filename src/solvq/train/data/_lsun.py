"""LSUN: the official LMDB, whose values are encoded images."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

from solvq.files import FormatError
from solvq.train.data._divide import named_for_test
from solvq.train.data._files import Files, join
from solvq.train.data._optional import optional
from solvq.train.data._source import Division, Encoded, Source

_OPEN: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()


def read_lsun(source: str, size: int | None) -> Source | None:
    """Read one LMDB of LSUN (a folder with ``data.mdb``), or a folder of them.

    In a folder of several, those that end in ``_val_lmdb`` are for testing. There are no official
    digests to compare with.
    """
    path = Path(source)
    if path.name == "data.mdb":
        path = path.parent
    if (path / "data.mdb").is_file():
        homes = [path]
    elif path.is_dir():
        homes = sorted(home.parent for home in path.glob("*/data.mdb"))
    else:
        homes = []
    if not homes:
        return None
    files = join(str(path), [_list(home) for home in homes])
    marks = named_for_test(files.names)
    note = f"{len(files.names)} images of {len(homes)} LMDB in {path}; no digests to compare with"
    if marks is not None:
        note += f"; {marks.sum()} of val or test are for testing"
    labels = [f"{path}: {name}" for name in files.names]
    return Encoded(path.resolve().name, Division(marks, files.names, note), labels, files.read)


def _list(home: Path) -> Files:
    lmdb = optional("lmdb", "LSUN", "lmdb")
    place = str(home.resolve())
    try:
        env = _OPEN.get(place)  # LMDB allows one handle a process
        if env is None:
            env = lmdb.open(place, readonly=True, lock=False, readahead=False, subdir=True)
            _OPEN[place] = env
        with env.begin() as transaction:
            keys = [bytes(key) for key in transaction.cursor().iternext(keys=True, values=False)]
    except lmdb.Error as error:
        raise FormatError(f"{home}: not an LMDB that can be read ({error})") from error
    names = [f"{home.name}/{key.decode('latin1')}" for key in keys]
    return Files(str(home), names, _reader(lmdb, env, keys))


def _reader(lmdb: Any, env: Any, keys: list[bytes]) -> Callable[[int], bytes]:
    def read(index: int) -> bytes:
        try:
            with env.begin() as transaction:
                return bytes(transaction.get(keys[index]))
        except lmdb.Error as error:
            name = keys[index].decode("latin1")
            raise FormatError(f"{env.path()}: {name} cannot be read ({error})") from error

    return read
