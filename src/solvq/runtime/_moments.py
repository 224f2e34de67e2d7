"""Second moments of what the weights of a model are multiplied with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from solvq.runtime._session import Session

LARGE = 1 << 24  # numbers that the patches of images may take at once


def _double(x: Tensor) -> Tensor:
    """Sums in float64, or float32 on devices without it."""
    return x.to(torch.float32 if x.device.type == "mps" else torch.float64)


class Moments:
    """Sums over the inputs of one weight; it may be used many times, by several layers.

    Means are over the rows of its largest use in each step, so that uses add up.
    """

    def __init__(self, whole: bool) -> None:
        self.whole = whole
        self._squares: Tensor | None = None
        self._products: Tensor | None = None
        self._first: Tensor | None = None
        self._total = self._n = self._largest = 0

    def used(self, rows: int) -> None:
        """Close a use by a layer, of so many rows of inputs."""
        self._total += rows
        self._largest = max(self._largest, rows)

    def end_step(self) -> None:
        """Close a forward pass."""
        self._n += self._largest
        self._largest = 0

    def add_rows(self, rows: Tensor, shape: tuple[int, ...]) -> None:
        """Add inputs (groups, rows, columns).

        ``shape`` is that of the sums: of the weight, or 1 kernel that stands for all.
        """
        rows = rows.detach().to(torch.promote_types(rows.dtype, torch.float32))
        squares = _double(rows.square().sum(dim=1))
        self._add(squares.repeat_interleave(shape[0] // rows.shape[0], dim=0).reshape(shape))
        if not self.whole:
            return
        products, first = _double(rows[0].T @ rows[0]), _double(rows[0].sum(dim=0))
        self._products = products if self._products is None else self._products.add_(products)
        self._first = first if self._first is None else self._first.add_(first)

    def add_tokens(self, tokens: Tensor, n_rows: int) -> None:
        """Add indices of rows."""
        counts = torch.bincount(tokens.detach().reshape(-1), minlength=n_rows)
        self._add(_double(counts)[:, None])

    def _add(self, squares: Tensor) -> None:
        """Add sums of squares; those of several kinds of layers broadcast to the weight."""
        self._squares = squares if self._squares is None else self._squares + squares

    def entries(self, name: str) -> Iterator[tuple[str, Tensor]]:
        """What was found, if anything was."""
        if self._squares is None or self._n == 0 or not bool(self._squares.any()):
            return
        yield name, (self._squares / self._n).float()
        if self.whole and self._products is not None and self._first is not None:
            yield f"{name}:hessian", (self._products / self._n).float()
            yield f"{name}:mean", (self._first / self._total).float()


def _linear(layer: nn.Linear, x: Tensor, moments: Moments) -> None:
    """Inputs of a matrix."""
    rows = x.reshape(1, -1, layer.in_features)
    moments.add_rows(rows, (1, layer.in_features))
    moments.used(rows.shape[1])


def _embedding(layer: nn.Embedding, x: Tensor, moments: Moments) -> None:
    """Rows of a table that are asked for."""
    moments.add_tokens(x, layer.num_embeddings)
    moments.used(x.numel())


def _patches(layer: nn.Conv1d | nn.Conv2d, x: Tensor) -> Tensor:
    """Patches (groups, rows, columns) that the kernels of a convolution see."""
    around = layer._reversed_padding_repeated_twice
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    x = functional.pad(x, around, mode=mode)
    size, dilation, stride = layer.kernel_size, layer.dilation, layer.stride
    if isinstance(layer, nn.Conv1d):  # as an image of one line
        x = x.unsqueeze(2)
        size, dilation, stride = (1, *size), (1, *dilation), (1, *stride)
    patches = functional.unfold(x, size, dilation=dilation, stride=stride)
    grouped = patches.unflatten(1, (layer.groups, -1))
    return grouped.permute(1, 0, 3, 2).flatten(1, 2)


def _convolution(layer: nn.Conv1d | nn.Conv2d, x: Tensor, moments: Moments) -> None:
    """Inputs of kernels; a kernel's columns are its channels times its taps."""
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    x = x if x.ndim == layer.weight.ndim else x.unsqueeze(0)
    kernels = layer.out_channels if layer.groups > 1 else 1
    n_rows, taps = 0, layer.weight[0, 0].numel()
    for part in x.split(max(1, LARGE // max(1, taps * x[:1].numel()))):
        patches = _patches(layer, part)
        moments.add_rows(patches, (kernels, *layer.weight.shape[1:]))
        n_rows += patches.shape[1]
    moments.used(n_rows)


TAKERS: dict[type[nn.Module], Callable[[Any, Tensor, Moments], None]] = {
    nn.Linear: _linear,
    nn.Embedding: _embedding,
    nn.Conv1d: _convolution,
    nn.Conv2d: _convolution,
}


def _uses(session: Session) -> dict[str, list[nn.Module]]:
    """Layers that use each weight, of those whose inputs can be seen."""
    names = {id(weight): name for name, weight in session.weights.items()}
    found: dict[str, list[nn.Module]] = {name: [] for name in session.weights}
    for module in session.model.modules():
        name = names.get(id(module._parameters.get("weight")))
        if name is not None and isinstance(module, tuple(TAKERS)):
            found[name].append(module)
    return found


def _plain(layer: nn.Module) -> bool:
    """Whether all rows of a layer's weight are multiplied with the same inputs."""
    return not isinstance(layer, nn.Embedding) and getattr(layer, "groups", 1) == 1


def _watch(layer: nn.Module, moments: Moments) -> Any:
    """Hook that adds the inputs of a layer; returns its handle."""
    take = next(taker for kind, taker in TAKERS.items() if isinstance(layer, kind))

    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        take(module, args[0] if args else kwargs["input"], moments)

    return layer.register_forward_pre_hook(hook, with_kwargs=True)


def _collect(session: Session, batches: Iterable[Any], whole: bool) -> dict[str, Tensor]:
    """Entries of all weights whose inputs were seen; hooks go when it ends, however it ends."""
    uses = _uses(session)
    sums = {n: Moments(whole and all(map(_plain, layers))) for n, layers in uses.items() if layers}
    with ExitStack() as stack, torch.no_grad():
        for name, moments in sums.items():
            for layer in uses[name]:
                stack.callback(_watch(layer, moments).remove)
        for batch in batches:
            session.run(batch)
            session.steps += 1
            for moments in sums.values():
                moments.end_step()
    return {key: entry for name, m in sums.items() for key, entry in m.entries(name)}


def inputs(session: Session, batches: Iterable[Any], loss: Any) -> dict[str, Tensor]:
    """Second moments of inputs, by element."""
    return _collect(session, batches, whole=False)


def hessian(session: Session, batches: Iterable[Any], loss: Any) -> dict[str, Tensor]:
    """Second moments of inputs by element, between all columns, and means."""
    return _collect(session, batches, whole=True)
