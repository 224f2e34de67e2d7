"""How long a bottleneck and a whole step of training take, beside the same with `nearest-ema`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor

from solvq.train._loop import one_step
from solvq.train._order import to_tensor
from solvq.train._run import Run
from solvq.train._trainee import Trainee
from solvq.train.data import Images
from solvq.vector import VectorQuantizer

REFERENCE = "nearest-ema"
REPEATS = 10
PATIENCE = 4.0  # seconds after which repeats end, at 3 or more


def timing(run: Run, images: Images, device: str | torch.device = "cpu") -> dict[str, Any]:
    """Milliseconds of the bottleneck and of a training step, on a batch of the run's size.

    Each is measured several times, in turn with the same autoencoder whose bottleneck is
    ``nearest-ema`` with as many codewords, so that what else the machine does meets both; ratios
    are those of the least times. Nothing of the run is changed.

    Parameters
    ----------
    run : Run
        With a state.
    images : Images
        Whose first training images are the batch.
    device : str or torch.device
        Where.

    Returns
    -------
    dict
        ``forward_ms`` and ``quantizer_ms`` (forward and backward) of the bottleneck, ``step_ms`` of
        the step, each with ``median``, ``min``, ``reference_min`` and ``ratio``. Those of the
        bottleneck are left out where there is none.
    """
    where = torch.device(device)
    config = run.config
    bare = replace(config, quantizer=REFERENCE, options={}, anneal={}, revive_every=0)
    ours, theirs = (Trainee(r, images, where) for r in (run, Run(run.path / "reference", bare)))
    count = min(config.batch_size, len(images.train))
    x = to_tensor(images.train.batch(np.arange(count)), where)
    with torch.no_grad():
        z, reference_z = ours.model.encode(x), theirs.model.encode(x)
    if theirs.model.quantizer is not None:
        theirs.model.quantizer.initialise(reference_z)
    found: dict[str, Any] = {
        "reference": REFERENCE,
        "batch_size": count,
        "latents": z.numel() // z.shape[1],
        "threads": torch.get_num_threads(),
        "device": str(where),
    }
    layer, plain = ours.model.quantizer, theirs.model.quantizer
    if layer is not None and plain is not None:
        found["forward_ms"] = _compared(lambda: layer(z), lambda: plain(z), where)
        found["quantizer_ms"] = _compared(
            lambda: _there_and_back(layer, z), lambda: _there_and_back(plain, z), where
        )
    step = _quiet_step(ours)
    found["step_ms"] = _compared(
        lambda: one_step(ours, x, step), lambda: one_step(theirs, x, step), where
    )
    return found


def _there_and_back(layer: VectorQuantizer, z: Tensor) -> None:
    """Forward and backward of a layer in training."""
    given = z.detach().requires_grad_()
    found = layer(given)
    (found.values.sum() + found.loss).backward()


def _quiet_step(trainee: Trainee) -> int:
    """The last step of the run at which no codewords are replaced."""
    config = trainee.config
    step = config.steps - 1
    revives = config.revive_every and config.steps % config.revive_every == 0
    return max(config.start, step - 1) if revives and config.revive_every > 1 else step


def _compared(
    ours: Callable[[], Any], theirs: Callable[[], Any], device: torch.device
) -> dict[str, float]:
    """Milliseconds of two calls made in turn, after one of each that does not count."""
    times, reference = list[float](), list[float]()
    begun = time.perf_counter()
    for repeat in range(REPEATS + 1):
        for call, kept in ((ours, times), (theirs, reference)):
            kept.append(_milliseconds(call, device))
        if repeat >= 3 and time.perf_counter() - begun > PATIENCE:
            break
    times, reference = times[1:], reference[1:]
    return {
        "median": median(times),
        "min": min(times),
        "reference_min": min(reference),
        "ratio": min(times) / min(reference),
        "repeats": len(times),
    }


def _milliseconds(call: Callable[[], Any], device: torch.device) -> float:
    """Wall time of a call, the work of an accelerator included."""
    begun = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return 1e3 * (time.perf_counter() - begun)
