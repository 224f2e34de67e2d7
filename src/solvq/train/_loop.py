"""The training loop, to be read from top to bottom."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from solvq.train._bottleneck import anneal, initialise
from solvq.train._config import Config
from solvq.train._objective import squared_error
from solvq.train._order import batches, seed_step
from solvq.train._parallel import average, average_gradients, process_group, same_everywhere
from solvq.train._record import Recorder
from solvq.train._run import Run
from solvq.train._trainee import Trainee
from solvq.train.data import Images, open_images

Progress = Callable[[str, int, int], None]


def train(
    run: Run,
    data: Images | None = None,
    *,
    device: str | torch.device | None = None,
    stop_at: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train an autoencoder, or go on with it where its folder says it stopped.

    Minimises the objective of the configuration plus the loss of the bottleneck, by Adam. A run
    that was stopped anywhere goes on from its last interval and ends with the same bits, on the
    same machine and number of processes. Under ``torchrun`` every process takes its share of each
    batch; the first one writes.

    Parameters
    ----------
    run : Run
        From `create_run` or `open_run`.
    data : Images, optional
        Opened from the configuration if None.
    device : str or torch.device, optional
        CUDA if there is any, otherwise the CPU.
    stop_at : int, optional
        Step before which to stop, at an interval of the run, as if killed there.
    progress : callable, optional
        Gets a text with the latest figures, the steps done, and those to do.

    Returns
    -------
    dict
        The last line of ``metrics.jsonl``.

    Raises
    ------
    ValueError
        For a batch that the processes cannot share, a schedule that the bottleneck does not know,
        images that the architecture does not fit, and a loss that is not finite.
    OSError, FormatError
        For files that cannot be read or written.
    """
    config = run.config
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    data = data or open_images(config.data, size=config.size, test=config.test_data)
    with process_group(device):
        trainee = Trainee(run, data, device)
        same_everywhere(trainee.tensors())
        recorder = Recorder(run, trainee, data)
        until = min(config.steps, stop_at or config.steps)
        _steps(trainee, recorder, data, until, progress)
        return recorder.last


def _steps(
    trainee: Trainee, recorder: Recorder, data: Images, until: int, progress: Progress | None
) -> None:
    """All steps that are left, and a record after each interval."""
    config, device = trainee.config, trainee.device
    todo = range(trainee.step, until)
    begun = time.perf_counter()
    for step, x in zip(todo, batches(data.train, todo, config, device), strict=True):
        seed_step(config.seed, step)
        if step == config.start and trainee.model.quantizer is not None:
            initialise(config, trainee.model, data.train, device)
        recorder.add(one_step(trainee, x, step))
        trainee.step = step + 1
        if trainee.step % config.interval == 0 or trainee.step == config.steps:
            trainee.seconds += time.perf_counter() - begun
            recorder.write()
            begun = time.perf_counter()
        if progress is not None:
            progress(recorder.text, trainee.step, config.steps)


def one_step(trainee: Trainee, x: Tensor, step: int) -> dict[str, Tensor]:
    """Forward, backward, update; figures of the batch."""
    config, model, layer = trainee.config, trainee.model, trainee.model.quantizer
    model.through = step < config.start
    if layer is not None:
        anneal(config, layer, step)
    with trainee.autocast():
        output = model(x)
        part, figures = trainee.objective.loss(output, x, step)
        loss = part if output.quantized is None else part + output.quantized.loss
    optimizer, scaler = trainee.optimizer, trainee.scaler
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(config, step)
    optimizer.zero_grad()
    scaler.scale(loss).backward()
    average_gradients(model.parameters())
    if config.clip:
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip)
    scaler.step(optimizer)
    scaler.update()
    if trainee.averaged is not None:
        trainee.averaged.update_parameters(model)
    beside = trainee.objective.adapt(output, x, step)
    if layer is not None and output.quantized is not None and is_due(config.revive_every, step):
        layer.revive(output.latents.detach())
    return _figures(output, x, loss) | figures | beside


def is_due(every: int, step: int) -> bool:
    """Whether something done ``every`` so many steps, 0 for never, comes after this one."""
    return every > 0 and (step + 1) % every == 0


@torch.no_grad()
def _figures(output: Any, x: Tensor, loss: Tensor) -> dict[str, Tensor]:
    """Mean loss and squared error of a batch over all processes."""
    both = [loss.detach().float(), squared_error(output, x)]
    average(both)
    return {"loss": both[0], "mse": both[1]}


def learning_rate(config: Config, step: int) -> float:
    """Learning rate of a step: a linear rise, then constant or half a cosine down to 0."""
    if step < config.warmup:
        return config.lr * (step + 1) / config.warmup
    if config.schedule == "constant":
        return config.lr
    share = (step - config.warmup) / max(1, config.steps - config.warmup)
    return config.lr / 2 * (1 + math.cos(math.pi * share))
