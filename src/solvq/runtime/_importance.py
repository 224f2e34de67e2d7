"""What matters in a model, measured on some batches."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from solvq.files import check_target, replacing
from solvq.runtime._fisher import Loss, fisher
from solvq.runtime._moments import hessian, inputs
from solvq.runtime._session import Forward, Session

Kind = Callable[[Session, Iterable[Any], Loss | None], dict[str, Tensor]]
KINDS: dict[str, Kind] = {"fisher": fisher, "inputs": inputs, "hessian": hessian}


def importance(
    model: nn.Module,
    batches: Iterable[Any],
    kind: str = "fisher",
    loss: Loss | None = None,
    include: Sequence[str] = ("*",),
    forward: Forward | None = None,
) -> dict[str, Tensor]:
    """Measure how much an error of each weight matters.

    Entries are named as the model's parameters of two dimensions and more, a shared one by its
    first name, and weigh squared errors: each has the shape of its weight or broadcasts to it.

    - ``fisher``: mean over samples of the squared gradient of the log-likelihood, by weight. It
      needs one backward pass per sample, since the square of a batch's gradient is another thing,
      and memory for one more set of gradients.
    - ``inputs``: second moment of the input that a weight of `Linear`, `Conv1d`, `Conv2d` is
      multiplied with, by column of the weight as a matrix; by row, how often an `Embedding` was
      asked for it. A weight that is used several times in a forward pass sums over its uses.
    - ``hessian``: the same, and beside it ``NAME:hessian``, all second moments (N, N) of the
      inputs, and ``NAME:mean``, their means (N,), for weights that only such layers without
      groups use.

    Weights that no batch reached have no entry.

    Parameters
    ----------
    model : Module
        Run in evaluation mode; left as it was, gradients included.
    batches : iterable of Tensor, tuple, list or dict
        Inputs on the model's device: a tensor is the only argument, a tuple or list holds the
        arguments, a dict the arguments by name. The first axis of every tensor counts samples.
    kind : str, default "fisher"
        ``fisher``, ``inputs`` or ``hessian``.
    loss : callable, optional
        Negative log-likelihood as a scalar, from the output for one sample and the batch of that
        one sample; for ``fisher`` only. By default an unbiased estimate of the Fisher information
        of the model's own labels: a random vector with the covariance of their gradients, the same
        for every call, goes back through the model. Its logits are its output (or that output's
        ``logits``, or first part), classes along the last axis.
    include : sequence of str, default ("*",)
        Shell patterns of the names of weights to measure.
    forward : callable, optional
        Output from the model and a batch, where the batches hold more than the arguments.

    Returns
    -------
    dict of str to Tensor
        Float32, on the model's device.

    Raises
    ------
    ValueError
        If an argument is out of range, there is nothing to measure, or a measure is not finite.
    TypeError
        If a batch is none of the above.
    """
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; choose one of {', '.join(KINDS)}")
    if loss is not None and kind != "fisher":
        raise ValueError(f"loss is for kind 'fisher'; kind {kind!r} needs none")
    weights = {
        name: weight
        for name, weight in model.named_parameters()
        if weight.ndim >= 2
        and weight.is_floating_point()
        and any(fnmatchcase(name, glob) for glob in include)
    }
    if not weights:
        raise ValueError(f"the model has no weight of two dimensions or more in {tuple(include)}")
    with Session(model, weights, forward) as session:
        found = KINDS[kind](session, batches, loss)
    if session.steps == 0:
        raise ValueError("batches is empty; give at least one")
    if not found:
        raise ValueError(
            f"the batches reached no weight in {tuple(include)} that kind {kind!r} can see; give "
            "samples that do, or kind 'fisher', which sees all layers"
        )
    for name, entry in found.items():
        if not bool(torch.isfinite(entry).all()):
            raise ValueError(
                f"the {kind} of {name!r} has NaN or infinite values; check the batches"
            )
    return found


def save_importance(
    path: str | os.PathLike[str], found: dict[str, Tensor], *, force: bool = False
) -> None:
    """Write what `importance` found as a safetensors file, whole or not at all.

    Parameters
    ----------
    path : path
        File to write, ``.safetensors``.
    found : dict of str to Tensor
        Entries by name.
    force : bool, default False
        Replace an existing file.

    Raises
    ------
    FileExistsError
        If the file exists and ``force`` is not set.
    ValueError
        If its name has another ending.
    OSError
        If it cannot be written.
    """
    target = Path(path)
    if target.suffix != ".safetensors":
        raise ValueError(f"path is {str(path)!r}; give a name that ends in .safetensors")
    check_target(target, force)
    tensors = {name: entry.detach().cpu().contiguous().clone() for name, entry in found.items()}
    try:
        with replacing(target) as part:
            save_file(tensors, part)
    except SafetensorError as error:  # how the library says that the disk is full
        raise OSError(f"{path}: cannot be written: {error}") from None
