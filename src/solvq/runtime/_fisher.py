"""Diagonal of the Fisher information: squared gradients, sample by sample."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from solvq.runtime._session import Session

Loss = Callable[[Any, Any], Tensor]


def _leaves(batch: Any) -> list[Tensor]:
    """Tensors of a batch that have an axis of samples."""
    if isinstance(batch, Tensor):
        return [batch] if batch.ndim else []
    parts = batch.values() if isinstance(batch, dict) else batch
    return [
        leaf
        for part in parts
        if isinstance(part, (Tensor, tuple, list, dict))
        for leaf in _leaves(part)
    ]


def _sample(batch: Any, i: int) -> Any:
    """Batch of one sample; what is no tensor belongs to all."""
    if isinstance(batch, Tensor):
        return batch[i : i + 1] if batch.ndim else batch
    if isinstance(batch, dict):
        return {key: _sample(part, i) for key, part in batch.items()}
    if isinstance(batch, (tuple, list)):
        return [_sample(part, i) for part in batch]
    return batch


def samples(batch: Any) -> Iterator[Any]:
    """Batches of one sample each.

    Raises
    ------
    TypeError
        If the batch is no tensor, tuple, list or dict.
    ValueError
        If its tensors disagree about how many samples there are, or there is no tensor.
    """
    if not isinstance(batch, (Tensor, tuple, list, dict)):
        raise TypeError(f"a batch is a {type(batch).__name__}; give a Tensor, tuple, list or dict")
    lengths = sorted({leaf.shape[0] for leaf in _leaves(batch)})
    if len(lengths) != 1:
        raise ValueError(
            f"the tensors of a batch have first axes of {lengths}; give all the same, the samples"
        )
    for i in range(lengths[0]):
        yield _sample(batch, i)


class OwnLabels:
    """Stands for the cross entropy of labels that the model would draw itself.

    The gradient of that by the logits has the covariance ``diag(p) - p p^T``, ``p`` the softmax.
    The one here has it, too, but its size hardly varies, where drawn labels of small ``p`` would
    come seldom and weigh much: it is ``sqrt(p) v - p (sqrt(p) . v)`` for random signs ``v``, from
    a seed of its own.
    """

    def __init__(self) -> None:
        self._generator = torch.Generator().manual_seed(0)

    def __call__(self, output: Any, batch: Any) -> Tensor:
        """Scalar whose gradient is that, for every row of logits."""
        logits = getattr(output, "logits", output)
        logits = logits[0] if isinstance(logits, (tuple, list)) else logits
        if not isinstance(logits, Tensor) or logits.ndim < 2:
            raise ValueError("the output holds no logits (samples, ..., classes); give a loss")
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        p = logits.detach().softmax(dim=-1)
        signs = torch.randint(0, 2, p.shape, generator=self._generator).to(p) * 2 - 1
        signed = p.sqrt() * signs
        return (logits * (signed - p * signed.sum(dim=-1, keepdim=True))).sum()


@contextmanager
def _with_gradients(weights: Iterable[nn.Parameter]) -> Iterator[None]:
    """Weights that ask for gradients for the time of a block."""
    flags = [(weight, weight.requires_grad) for weight in weights]
    try:
        for weight, _ in flags:
            weight.requires_grad_(True)
        yield
    finally:
        for weight, flag in flags:
            weight.requires_grad_(flag)


def fisher(session: Session, batches: Iterable[Any], loss: Loss | None) -> dict[str, Tensor]:
    """Mean over samples of the squared gradients of the loss, for weights that have one."""
    chosen = OwnLabels() if loss is None else loss
    weights = list(session.weights.values())
    sums: list[Tensor | None] = [None] * len(weights)
    count = 0
    with _with_gradients(weights), torch.enable_grad():
        for batch in batches:
            session.steps += 1
            for sample in samples(batch):
                value = chosen(session.run(sample), sample)
                if not isinstance(value, Tensor) or value.numel() != 1:
                    raise ValueError("loss gave no scalar; give one negative log-likelihood")
                slopes = torch.autograd.grad(value.reshape(()), weights, allow_unused=True)
                _add_squares(sums, slopes)
                count += 1
    named = zip(session.weights, sums, strict=True)
    return {name: (s / count).float() for name, s in named if s is not None and bool(s.any())}


def _add_squares(sums: list[Tensor | None], slopes: tuple[Tensor | None, ...]) -> None:
    """Add squares to the sums, in float32 or more."""
    for i, slope in enumerate(slopes):
        if slope is None:
            continue
        wide = slope.to(torch.promote_types(slope.dtype, torch.float32))
        total = sums[i]
        if total is None:
            sums[i] = wide.square()
        else:
            total.addcmul_(wide, wide)
