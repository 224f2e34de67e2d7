"""What is wanted: which tensors are compressed, how, and within what budget."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, NamedTuple

from solvq.checkpoint._container import Entry
from solvq.checkpoint._layout import ALLOWED, PATTERN
from solvq.checkpoint._rules import KEEP, RULES, action_of, check_rules, least_bits, matches
from solvq.checkpoint._scheme import MAX_VALUES, SCALES
from solvq.checkpoint.budget._limit import Budget
from solvq.scalar import METHODS

FLOATS = ("F64", "F32", "F16", "BF16")
RESTRICTED = {"float16": "F16", "bfloat16": "BF16", "e4m3": "F8_E4M3", "int8": "I8"}
VALUES = ("auto", "same", *RESTRICTED)
AUTO = "auto"


class Recipe(NamedTuple):
    """How one tensor is compressed.

    Attributes
    ----------
    layout : str
        What shares a table, as `Settings` has it.
    n_values : int
        Entries of a table.
    scale : str
        What shares a scale; empty for none.
    price : float
        Price of a bit per weight in units of the squared error, for entropy-coded indices; 0 for
        indices of fixed length.
    """

    layout: str = "tensor"
    n_values: int = 16
    scale: str = ""
    price: float = 0.0


@dataclass(frozen=True)
class Settings:
    """What to compress and how, checked.

    Parameters
    ----------
    n_values : int, default 16
        Table entries, at most 65536. Not used with a budget.
    layout : str, default "tensor", with a budget "auto"
        What shares a table: ``tensor``, ``row`` (first axis), ``column``, ``rows:N``, ``group:N``
        (consecutive weights) or ``block:RxC``; ``auto`` chooses layout and scale of each tensor
        by its curves, within a budget.
    scale : str, optional
        What shares a scale that the tables are multiplied with, named as layouts are.
    scale_dtype : {"float16", "bfloat16", "e8m0"}, default "float16"
        What scales are stored in; e8m0 has the powers of two.
    values : str, default "auto"
        What table entries are stored in: ``float16``, ``bfloat16``, ``e4m3``, ``int8`` (these are
        optimal under the restriction), the ``same`` as the tensor, or ``auto``: float16 for wider
        tensors where that adds at most a hundredth to the error.
    method : str, default "optimal"
        Name in `solvq.scalar.METHODS`.
    entropy : bool, default False
        Code indices by their frequencies: tables that are best for a price per bit, and kept
        tensors without loss in fewer bytes.
    lossless : bool, default False
        Lose nothing: every tensor is coded without loss, and none is quantized.
    feedback : bool, default False
        Choose indices, and tables where they have no scales, for the error of the layers' outputs
        instead of that of the weights. The importance must have second moments.
    correct_bias : bool, default False
        Add to the bias ``X.bias`` of a weight ``X.weight`` what keeps the mean of the outputs. The
        importance must have means.
    include, exclude : tuple of str
        Shell patterns of tensor names; exclude wins.
    rules : tuple of (str, str), default `RULES`
        Shell patterns of names, each with ``keep`` or the least bits per weight of such tensors;
        of several that fit, the last one counts.
    min_size : int, default 1024
        Tensors of fewer weights are kept.
    size, ratio, avg_bits, max_error, max_tensor_error
        The budget, one of them at most: bytes of the file; bytes of the original over them, at
        least; bits per weight of all compressed tensors; their squared error over their sum of
        squares, in total; the same of each tensor.

    Raises
    ------
    ValueError
        If a setting is out of range, or two exclude each other.
    """

    n_values: int | None = None
    layout: str | None = None
    scale: str = ""
    scale_dtype: str = "float16"
    values: str = "auto"
    method: str = "optimal"
    entropy: bool = False
    lossless: bool = False
    feedback: bool = False
    correct_bias: bool = False
    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    rules: tuple[tuple[str, str], ...] = RULES
    min_size: int = 1024
    size: int | None = None
    ratio: float | None = None
    avg_bits: float | None = None
    max_error: float | None = None
    max_tensor_error: float | None = None

    def __post_init__(self) -> None:
        """Fill in what follows from other settings, and refuse what cannot be done."""
        budget = self.budget
        if self.n_values is None:
            object.__setattr__(self, "n_values", 16)
        elif budget is not None:
            raise ValueError(f"n_values is {self.n_values}; a budget sets it: give one of them")
        if self.layout is None:
            free = budget is not None and not self.scale and not self.entropy
            object.__setattr__(self, "layout", AUTO if free else "tensor")
        self._check_names()
        self._check_together(budget)

    @property
    def budget(self) -> Budget | None:
        """What must be kept to, if anything."""
        given = {
            name: getattr(self, name) for name in Budget._fields if getattr(self, name) is not None
        }
        return Budget.of(given) if given else None

    def _check_names(self) -> None:
        """Refuse words and numbers that mean nothing."""
        if self.method not in METHODS:
            raise ValueError(f"method is {self.method!r}; choose one of {', '.join(METHODS)}")
        if not 1 <= (self.n_values or 0) <= MAX_VALUES:
            raise ValueError(f"n_values is {self.n_values}; give 1 to {MAX_VALUES}")
        for name, value in (("layout", self.layout), ("scale", self.scale)):
            extra = (AUTO,) if name == "layout" else ("",)
            if value not in extra and not re.fullmatch(PATTERN, value or ""):
                raise ValueError(f"{name} is {value!r}; give {ALLOWED}")
        if self.scale_dtype not in SCALES:
            raise ValueError(f"scale_dtype is {self.scale_dtype!r}; give {', '.join(SCALES)}")
        if self.values not in VALUES:
            raise ValueError(f"values is {self.values!r}; give {', '.join(VALUES)}")
        check_rules(self.rules)
        if self.min_size < 0:
            raise ValueError(f"min_size is {self.min_size}; give 0 or more")

    def _check_together(self, budget: Budget | None) -> None:
        """Refuse settings that exclude each other."""
        if self.lossless and (budget is not None or self.entropy):
            raise ValueError("lossless is exact: give neither a budget nor entropy with it")
        if self.layout == AUTO and (budget is None or self.scale):
            raise ValueError("layout is 'auto'; it needs a budget, and chooses the scales too")
        if self.entropy and self.layout not in ("tensor", AUTO):
            raise ValueError(f"layout is {self.layout!r}; entropy coding has a table per tensor")
        if self.entropy and self.scale and budget is not None:
            raise ValueError(
                f"scale is {self.scale!r}; entropy coding within a budget chooses the scales: "
                "leave it out"
            )
        if self.method != "optimal" and (self.entropy or self.values in RESTRICTED):
            raise ValueError(
                f"method is {self.method!r}; entropy and restricted values have their own: leave "
                "it out"
            )
        if self.values == "int8" and not self.scale and self.layout != AUTO:
            raise ValueError("values is 'int8'; integers need a scale: give one, as 'row'")

    def recipe(self, name: str) -> Recipe:
        """How a tensor is compressed without a budget."""
        least = 1 << math.ceil(least_bits(name, self.rules))
        return Recipe(str(self.layout), max(self.n_values or 0, least), self.scale)

    def quantizer(self, price: float) -> tuple[str, dict[str, Any]]:
        """Method that finds the tables, and its parameters."""
        if self.entropy:
            return "entropy", {"alpha": price} if price else {}
        if self.values in RESTRICTED:
            return "restricted", {"values": self.values}
        return self.method, {}

    def _unwanted(self, name: str) -> str:
        """Why a tensor's name keeps it as it is; empty if it does not."""
        if not matches(name, self.include):
            return "not included"
        if matches(name, self.exclude):
            return "excluded"
        return "kept by a rule" if action_of(name, self.rules) == KEEP else ""

    def keep(self, name: str, entry: Entry) -> str:
        """Why a tensor stays as it is; empty if it is to be compressed."""
        if self.lossless:
            return "lossless"
        if reason := self._unwanted(name):
            return reason
        if entry.dtype not in FLOATS:
            return f"dtype {entry.dtype}"
        if entry.size == 0:
            return "empty"
        if len(entry.shape) < 2:
            return f"{len(entry.shape)}-D"
        if entry.size < self.min_size:
            return f"fewer than {self.min_size} weights"
        return ""
