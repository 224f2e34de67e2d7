"""What defines a training run: every choice, in one frozen record."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from solvq.train._check import check_choice, check_range
from solvq.train._models import MODELS
from solvq.train._objectives import OBJECTIVES
from solvq.vector import METHODS

SCHEDULES = ("cosine", "constant")
PRECISIONS = ("float32", "bfloat16", "float16")
NONE = "none"  # the plain autoencoder's name for its bottleneck
LEAST = {  # smallest allowed value of each number
    "width": 1,
    "n_blocks": 0,
    "n_down": 0,
    "dim": 1,
    "n_codes": 1,
    "start": 0,
    "revive_every": 0,
    "steps": 1,
    "batch_size": 1,
    "warmup": 0,
    "seed": 0,
    "interval": 1,
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """Every choice that a run depends on; written to ``config.json`` of its folder.

    Parameters
    ----------
    data : str
        Name or path of the images, as `open_images` takes it.
    test_data : str, optional
        Where the test images come from, if not from ``data``.
    size : int, optional
        Height and width in pixels; as the images are if None.
    model : str
        Entry of `MODELS`.
    width, n_blocks, n_down, dim : int
        Hidden width, residual blocks, halvings of the resolution, and length of a latent.
    quantizer : str
        Entry of `solvq.vector.METHODS`, or "none": the plain autoencoder.
    n_codes : int
        Number of codewords.
    options : dict
        Further arguments of the quantizer's constructor.
    anneal : dict of name to [start, end]
        Buffers of the quantizer, such as ``alpha`` or ``tau``, that go geometrically from start to
        end over the run.
    objective : str
        Entry of `OBJECTIVES`: what a reconstruction is measured with.
    objective_options : dict
        Arguments of the objective.
    start : int
        Steps without bottleneck before the codewords are initialised from data.
    revive_every : int
        Steps between replacements of unused codewords; 0 means never.
    steps, batch_size : int
        Length of the run, and images of a step on all processes together.
    lr : float
        Largest learning rate of Adam.
    schedule : {"cosine", "constant"}
        How the learning rate goes on after ``warmup`` steps of linear rise.
    clip : float
        Largest norm of the gradient; 0 leaves it.
    ema : float
        Decay of the moving average of the weights, below 1; 0 keeps none.
    precision : {"float32", "bfloat16", "float16"}
        Of the matrix products, by autocast.
    flip : bool
        Mirror half of the training images.
    seed : int
        Of everything random.
    interval : int
        Steps between two records of metrics, samples and state.

    Raises
    ------
    ValueError
        For names that do not exist and numbers out of range.
    """

    data: str = "photos"
    test_data: str | None = None
    size: int | None = None
    model: str = "vqvae"
    width: int = 64
    n_blocks: int = 2
    n_down: int = 2
    dim: int = 32
    quantizer: str = "nearest-ema"
    n_codes: int = 128
    options: dict[str, Any] = field(default_factory=dict)
    anneal: dict[str, list[float]] = field(default_factory=dict)
    objective: str = "mse"
    objective_options: dict[str, Any] = field(default_factory=dict)
    start: int = 0
    revive_every: int = 0
    steps: int = 1000
    batch_size: int = 64
    lr: float = 1e-3
    schedule: str = "cosine"
    warmup: int = 0
    clip: float = 1.0
    ema: float = 0.0
    precision: str = "float32"
    flip: bool = True
    seed: int = 0
    interval: int = 100

    def __post_init__(self) -> None:
        """Refuse what no run can be made of."""
        check_choice("model", self.model, MODELS)
        check_choice("quantizer", self.quantizer, (NONE, *METHODS))
        check_choice("objective", self.objective, OBJECTIVES)
        check_choice("schedule", self.schedule, SCHEDULES)
        check_choice("precision", self.precision, PRECISIONS)
        for name, least in LEAST.items():
            check_range(name, getattr(self, name), least, whole=True)
        check_range("lr", self.lr, 0)
        check_range("clip", self.clip, 0)
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema is {self.ema}; give a decay of at least 0 and below 1")
        if self.start >= self.steps:
            raise ValueError(
                f"start is {self.start} and steps are {self.steps}; the bottleneck must come in "
                "before the end"
            )
        for name, ends in self.anneal.items():
            if len(ends) != 2 or not all(math.isfinite(end) and end > 0 for end in ends):
                raise ValueError(f"anneal[{name!r}] is {ends}; give [start, end], both above 0")

    def to_dict(self) -> dict[str, Any]:
        """All fields, as JSON holds them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Config:
        """Config of what `to_dict` gave; unknown names are refused."""
        known = {one.name for one in fields(cls)}
        strange = sorted(set(given) - known)
        if strange:
            raise ValueError(
                f"the configuration has the fields {strange}, unknown to this version of solvq"
            )
        return cls(**given)
