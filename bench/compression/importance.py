"""How much the weights of a model matter, from data that do not judge it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple


class Calibration(NamedTuple):
    """What `solvq.runtime.importance` is given.

    Attributes
    ----------
    forward : callable
        Output from the tensors by name and the parts of a batch.
    batches : iterable
        Inputs that do not occur among the task's.
    loss : callable, optional
        As `solvq.runtime.importance` takes it; by default the outputs are logits.
    pooled : tuple of str
        Embeddings of which few rows are reached: their importance is averaged over rows.
    """

    forward: Callable[..., Any]
    batches: Iterable[Any]
    loss: Callable[[Any, Any], Any] | None = None
    pooled: tuple[str, ...] = ()


def write(state: dict[str, Any], calibration: Calibration, path: Path) -> None:
    """Measure the Fisher information and write it as a file for `solvq.checkpoint.compress`."""
    from bench.networks.stateful import Stateful
    from solvq.runtime import importance, save_importance

    module = Stateful(state, calibration.forward)
    found = importance(module, calibration.batches, loss=calibration.loss)
    for name in calibration.pooled:
        found[name] = found[name].mean(0, keepdim=True)
    save_importance(path, found, force=True)


def random_projection(seed: int = 0) -> Callable[[Any, Any], Any]:
    """Loss whose squared gradients are, on average, the summed squares of all outputs' gradients.

    For outputs that are vectors and no logits: the squared distance that an error of a weight
    moves them is what matters.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)

    def loss(output: Any, batch: Any) -> Any:
        signs = 2 * torch.randint(0, 2, output.shape, generator=generator) - 1
        return (output * signs).sum()

    return loss
