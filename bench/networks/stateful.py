"""A forward pass over named tensors as a torch module, for tools that take modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import torch
from torch import nn


@final
class Stateful(nn.Module):
    """Module whose parameters have the names of a file's tensors.

    Parameters
    ----------
    state : dict of str to Tensor
        Floats become parameters, without gradients, others buffers; dots become modules.
    function : callable
        Output from the tensors by name and the module's arguments.
    """

    def __init__(self, state: dict[str, torch.Tensor], function: Callable[..., Any]) -> None:
        super().__init__()
        self._function = function
        for name, tensor in state.items():
            *path, leaf = name.split(".")
            home: nn.Module = self
            for part in path:
                if part not in home._modules:
                    home.add_module(part, nn.Module())
                home = home.get_submodule(part)
            if tensor.is_floating_point():
                home.register_parameter(leaf, nn.Parameter(tensor, requires_grad=False))
            else:
                home.register_buffer(leaf, tensor)

    def forward(self, *arguments: Any) -> Any:
        """Call the function with the tensors as they are now."""
        state = dict(self.named_parameters()) | dict(self.named_buffers())
        return self._function(state, *arguments)
