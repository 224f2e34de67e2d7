"""What a run has learned, measured on its test images and written into its folder."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from solvq.files import finite, json_text, replacing
from solvq.train._autoencoder import Autoencoder
from solvq.train._environment import environment
from solvq.train._feature_network import SMALLEST
from solvq.train._features import load_features, resolve
from solvq.train._judge import Judge
from solvq.train._metrics import Frechet, absent
from solvq.train._order import to_tensor
from solvq.train._points import transmissions
from solvq.train._run import Run, write_text
from solvq.train._timing import timing
from solvq.train._transmit import to_rows
from solvq.train.data import Images, Split, open_images

BATCH = 100  # images of up to 64 pixels, fewer of larger ones
CALIBRATION = (1000, 16_000)  # training images and latents that are enough for tables
NO_FEATURES = "none"
VERSION = 1  # of what eval.json holds; older ones are computed anew

Progress = Callable[[str, int, int], None]


def evaluate(
    run: Run,
    *,
    images: Images | None = None,
    n_images: int | None = None,
    features: str = "auto",
    device: str | torch.device | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure a trained run on its test images; write ``eval.json`` and ``eval.npz``.

    Errors of reconstructions and latents, how codewords are used, what the latents cost as bits
    and what a reconstruction from those very bytes loses, and how long the bottleneck takes.

    Parameters
    ----------
    run : Run
        With a state.
    images : Images, optional
        Instead of those of the configuration.
    n_images : int, optional
        How many of the test images, evenly spread over them; all by default.
    features : str
        Network of the Fréchet distance, which is computed on about 500 of the images: an entry of
        `FEATURES`, "auto" for the best at hand, or "none".
    device : str or torch.device, optional
        CUDA if there is any, otherwise the CPU.
    progress : callable, optional
        Gets a text, the images done, and those to do.

    Returns
    -------
    dict
        What ``eval.json`` holds; numbers that do not exist are None.

    Raises
    ------
    ValueError
        If ``n_images`` is below 1, or a network has no such name.
    OSError, FormatError
        For files that cannot be read or written.
    """
    if n_images is not None and n_images < 1:
        raise ValueError(f"n_images is {n_images}; give at least 1, or leave it out for all")
    if features != NO_FEATURES:
        resolve(features)
    begun = time.perf_counter()
    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    config = run.config
    data = images or open_images(config.data, size=config.size, test=config.test_data)
    count = min(n_images or len(data.test), len(data.test))
    judge = _judge(run, data, features, where)
    done = 0
    for x in _spread(data.test, count, where):
        judge.add(x, count)
        done += len(x)
        if progress is not None:
            progress(run.path.name, done, count)
    found = {
        "version": VERSION,
        "step": run.step,
        "asked": _asked(images, n_images, features),
        "images": {"name": data.name, "note": data.note, "n": count, "size": data.test.size},
        **judge.figures(),
        "absent": absent(data.test.size),
        "timing": timing(run, data, where),
        "environment": environment(),
        "seconds": time.perf_counter() - begun,
    }
    found = finite(found)
    _write_arrays(run, judge.arrays())
    write_text(run.path / "eval.json", json_text(found) + "\n")
    return found


def _asked(images: Images | None, n_images: int | None, features: str) -> dict[str, Any]:
    """What an evaluation depends on besides the state of the run."""
    given = None if images is None else f"{images.name}: {images.note}"
    return {"images": given, "n_images": n_images, "features": features}


def up_to_date(
    run: Run, *, images: Images | None = None, n_images: int | None = None, features: str = "auto"
) -> dict[str, Any] | None:
    """What ``eval.json`` holds, if `evaluate` wrote it asked the same of the same state, or None.

    Parameters
    ----------
    run, images, n_images, features
        As `evaluate`.
    """
    wanted = _asked(images, n_images, features)
    try:
        found = json.loads((run.path / "eval.json").read_text())
        same = (VERSION, run.step, wanted) == (found["version"], found["step"], found["asked"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if same else None


def _judge(run: Run, data: Images, features: str, device: torch.device) -> Judge:
    """The model, the ways to send its latents, and the network of the Fréchet distance."""
    model = run.model().to(device)
    latents, values = _calibration(model, data.train, device)
    with torch.no_grad():
        points = transmissions(model, latents, values, run.config.n_codes)
    if features == NO_FEATURES or data.test.size < SMALLEST:
        return Judge(model, points, None)
    return Judge(model, points, Frechet(load_features(features), device))


@torch.no_grad()
def _calibration(model: Autoencoder, split: Split, device: torch.device) -> tuple[Tensor, Tensor]:
    """Latents and values (N, dim) of some images."""
    most, enough = CALIBRATION
    per_image = len(to_rows(model.encode(next(_spread(split, 1, device)))))
    count = min(most, len(split), -(-enough // per_image))
    outputs = [model(x) for x in _spread(split, count, device)]
    latents = torch.cat([to_rows(output.latents) for output in outputs])
    return latents, torch.cat([to_rows(output.values) for output in outputs])


def _spread(split: Split, count: int, device: torch.device) -> Iterator[Tensor]:
    """Batches of ``count`` images in order, evenly spread over all."""
    every = np.arange(count) * len(split) // count
    size = min(BATCH, max(1, BATCH * 64**2 // split.size**2))
    for first in range(0, count, size):
        yield to_tensor(split.batch(every[first : first + size]), device)


def _write_arrays(run: Run, arrays: dict[str, NDArray[Any]]) -> None:
    """Write ``eval.npz``."""
    with replacing(run.path / "eval.npz") as part, part.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
