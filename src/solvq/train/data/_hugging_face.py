"""Data sets of the package ``datasets``: saved folders and its local cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from solvq.files import FormatError
from solvq.train.data._divide import WORDS, if_both
from solvq.train.data._optional import optional
from solvq.train.data._source import Division, Encoded, Source

PREFIX = "hf:"
MARKS = ("dataset_dict.json", "state.json")


def read_hugging_face(source: str, size: int | None) -> Source | None:
    """Read a folder that ``save_to_disk`` wrote, or ``hf:NAME`` from the local cache.

    Nothing is downloaded. Splits named test or validation are for testing.
    """
    if source.startswith(PREFIX):
        data = _cached(source[len(PREFIX) :])
    elif any((Path(source) / mark).is_file() for mark in MARKS):
        datasets = optional("datasets", "a folder saved by Hugging Face datasets", "datasets")
        try:
            data = datasets.load_from_disk(source)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise FormatError(f"{source}: not a data set that can be read ({error})") from error
    else:
        return None
    return _source(source, dict(data) if isinstance(data, dict) else {"train": data})


def _cached(name: str) -> Any:
    datasets = optional("datasets", f"{PREFIX}{name}", "datasets")
    before = datasets.config.HF_HUB_OFFLINE
    datasets.config.HF_HUB_OFFLINE = True
    try:
        local = datasets.DownloadConfig(local_files_only=True)
        return datasets.load_dataset(name, download_config=local)
    except (OSError, ValueError, RuntimeError) as error:
        raise FileNotFoundError(
            f"{PREFIX}{name} is not in the local cache of datasets ({error}); fetch it once with "
            f"python -c \"import datasets; datasets.load_dataset('{name}')\""
        ) from error
    finally:
        datasets.config.HF_HUB_OFFLINE = before


def _source(source: str, splits: dict[str, Any]) -> Source:
    datasets = optional("datasets", source, "datasets")
    rows, labels, marks = [], [], []
    for split, table in splits.items():
        columns = [
            name for name, kind in table.features.items() if isinstance(kind, datasets.Image)
        ]
        if not columns:
            raise ValueError(
                f"{source}: split {split} has the columns {', '.join(table.features)}, none of "
                "them of images (datasets.Image)"
            )
        plain = table.cast_column(columns[0], datasets.Image(decode=False))
        rows += [(plain, columns[0], place) for place in range(len(plain))]
        labels += [f"{source}: {split} {place}" for place in range(len(plain))]
        marks += [WORDS.get(split, False)] * len(plain)

    def read(index: int) -> bytes:
        table, column, place = rows[index]
        entry = table[place][column]
        return bytes(entry["bytes"]) if entry["bytes"] else Path(entry["path"]).read_bytes()

    test = np.array(marks, bool)
    note = f"{len(rows)} images of {source}, splits {', '.join(splits)}"
    name = source.removeprefix(PREFIX) if source.startswith(PREFIX) else Path(source).name
    return Encoded(name, Division(if_both(test), None, note), labels, read)
