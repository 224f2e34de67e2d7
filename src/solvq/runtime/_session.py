"""A model that is looked at, and afterwards is as it was."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

from torch import Tensor, nn

Forward = Callable[[nn.Module, Any], Any]


def call(model: nn.Module, batch: Any) -> Any:
    """Output for a batch: a tensor is the argument, a tuple or list all, a dict those by name.

    Raises
    ------
    TypeError
        If the batch is something else.
    """
    if isinstance(batch, Tensor):
        return model(batch)
    if isinstance(batch, (tuple, list)):
        return model(*batch)
    if isinstance(batch, dict):
        return model(**batch)
    raise TypeError(f"a batch is a {type(batch).__name__}; give a Tensor, tuple, list or dict")


class Session:
    """A model in evaluation mode for the time of a block; its modes come back even on error.

    Parameters
    ----------
    model : Module
        Its hooks and the flags of its parameters are those of whoever sets them in the block:
        they put them back.
    weights : dict of str to Tensor
        What is to be measured.
    forward : callable, optional
        Output from the model and a batch; `call` by default.

    Attributes
    ----------
    steps : int
        Batches so far.
    """

    def __init__(
        self, model: nn.Module, weights: dict[str, nn.Parameter], forward: Forward | None
    ) -> None:
        self.model, self.weights, self.steps = model, weights, 0
        self._forward = call if forward is None else forward
        self._modes: dict[nn.Module, bool] = {}

    def run(self, batch: Any) -> Any:
        """Output for a batch."""
        return self._forward(self.model, batch)

    def __enter__(self) -> Session:
        self._modes = {module: module.training for module in self.model.modules()}
        self.model.eval()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Put the modes back, each module's own."""
        for module, training in self._modes.items():
            module.training = training
