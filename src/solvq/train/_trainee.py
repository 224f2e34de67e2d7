"""What is trained, with what trains it, and how both are saved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from solvq.train._autoencoder import Autoencoder
from solvq.train._bottleneck import check_bottleneck
from solvq.train._objectives import OBJECTIVES
from solvq.train._order import seed_step, to_tensor
from solvq.train._parallel import world_size
from solvq.train._run import Run, averaged_model
from solvq.train._state import load, load_module, load_optimizer, optimizer_tensors, save
from solvq.train.data import Images

BETAS = (0.9, 0.99)
SAMPLE = 1000  # images that the variance of the data is measured on


class Trainee:
    """Model, objective, optimisers and moving average of a run, new or as its folder has them.

    Parameters
    ----------
    run : Run
        The folder.
    data : Images
        What it trains on.
    device : torch.device
        Where.
    """

    def __init__(self, run: Run, data: Images, device: torch.device) -> None:
        self.config = config = run.config
        self.run, self.device, self.step, self.seconds = run, device, 0, 0.0
        if config.batch_size % world_size():
            raise ValueError(
                f"batch_size is {config.batch_size} on {world_size()} processes; give a multiple"
            )
        if data.train.size % 2**config.n_down:
            raise ValueError(
                f"images have {data.train.size} pixels a side, which cannot be halved "
                f"{config.n_down} times; give another size or n_down"
            )
        seed_step(config.seed, 0)
        self.model = Autoencoder(config).to(device)
        check_bottleneck(config, self.model)
        objective = OBJECTIVES[config.objective]
        self.objective = objective(config, self.model, variance(data)).to(device)
        self.averaged = averaged_model(self.model, config.ema) if config.ema else None
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=config.lr, betas=BETAS)
        half = config.precision == "float16"
        self.scaler = torch.amp.GradScaler(device.type, enabled=half)
        if run.started:
            self.load()

    def autocast(self) -> AbstractContextManager[Any]:
        """Context of the forward pass."""
        dtype = getattr(torch, self.config.precision)
        enabled = dtype != torch.float32
        return torch.autocast(self.device.type, dtype if enabled else None, enabled=enabled)

    def tensors(self) -> Iterator[Tensor]:
        """All parameters and buffers, which processes must agree on."""
        for module in (self.model, self.objective):
            yield from module.parameters()
            yield from module.buffers()

    def save(self) -> None:
        """Write the state of the run."""
        parts = {
            "model": self.model.state_dict(),
            "objective": self.objective.state_dict(),
            "optimizer": optimizer_tensors(self.optimizer),
            "beside": optimizer_tensors(self.objective.optimizer),
            "ema": {} if self.averaged is None else self.averaged.state_dict(),
        }
        about = {"step": self.step, "seconds": self.seconds, "scaler": self.scaler.state_dict()}
        save(self.run.state_path, parts, about)

    def load(self) -> None:
        """Go on from the state of the run."""
        path = self.run.state_path
        parts, about = load(path)
        load_module(path, "model", self.model, parts.get("model", {}))
        load_module(path, "objective", self.objective, parts.get("objective", {}))
        if self.averaged is not None:
            load_module(path, "ema", self.averaged, parts.get("ema", {}))
        load_optimizer(self.optimizer, parts.get("optimizer", {}))
        if self.objective.optimizer is not None:
            load_optimizer(self.objective.optimizer, parts.get("beside", {}))
        self.scaler.load_state_dict(about["scaler"])
        self.step, self.seconds = int(about["step"]), float(about["seconds"])


def variance(data: Images) -> float:
    """Variance of the numbers of training images in [0, 1], of the first ones."""
    first = data.train.batch(np.arange(min(SAMPLE, len(data.train))))
    return max(float(to_tensor(first, torch.device("cpu")).var()), 1e-6)
