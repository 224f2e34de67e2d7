"""What a layer stores: codewords, and counts of how they were used."""

from __future__ import annotations

from abc import ABC
from typing import TYPE_CHECKING, Any, ClassVar, get_args

import torch
from torch import Tensor, nn

from solvq.vector._layout import NanPolicy
from solvq.vector._parameters import check_size
from solvq.vector._usage import Rate, Usage, rate, usage

if TYPE_CHECKING:
    from typing_extensions import Self


class CodeStore(nn.Module, ABC):
    """Codewords and their use, as parameters and buffers: nothing that a state_dict would miss.

    Base of `VectorQuantizer`, where the parameters are documented.
    """

    _version: int = 1  # of what a state_dict holds
    n_levels: int = 1  # codebooks, one below the other
    n_indices: int | None = None  # length of the last axis of indices; None where there is none
    soft: ClassVar[bool] = False  # whether results have weights
    mixes: ClassVar[bool] = False  # whether values are mixtures by those weights in eval() too
    signed: ClassVar[bool] = False  # whether weights may be negative
    certified: ClassVar[bool] = False  # whether forwards prove how good they are
    replaceable: ClassVar[bool] = True  # whether single codewords can be set

    table: Tensor  # what is stored of the codewords
    usage_counts: Tensor
    usage_weights: Tensor | None
    largest_gap: Tensor

    def __init__(self, dim: int, n_codes: int, *, nan_policy: NanPolicy = "raise") -> None:
        super().__init__()
        self.dim = check_size("dim", dim)
        self.n_codes = check_size("n_codes", n_codes)
        if nan_policy not in get_args(NanPolicy):
            raise ValueError(f"nan_policy is {nan_policy!r}; give 'raise' or 'omit'")
        self.nan_policy: NanPolicy = nan_policy

    def _prepare(self, table: Tensor, learned: bool) -> None:
        """Store what is known of the codewords, to be learned by gradient or not, and counters."""
        if learned:
            self.table = nn.Parameter(table)
        else:
            self.register_buffer("table", table)
        counts = torch.zeros(self.n_levels * self.n_codes, dtype=torch.int64)
        self.register_buffer("usage_counts", counts)
        weights = torch.zeros(self.n_codes) if self.soft else None
        self.register_buffer("usage_weights", weights)
        self.register_buffer("largest_gap", torch.tensor(torch.nan), persistent=False)

    @property
    def codebook(self) -> Tensor:
        """Codewords (n_codes, dim), one a row; several levels stand one below the other."""
        return self.table

    @property
    def certificate(self) -> float | None:
        """Most that the objective of a latent of the last forward may be above its minimum.

        None for a method that proves nothing, nan before the first forward.
        """
        return float(self.largest_gap) if self.certified else None

    def extra_repr(self) -> str:
        """Name the sizes in ``repr``."""
        return f"dim={self.dim}, n_codes={self.n_codes}"

    def flush(self) -> None:
        """Apply what the last training forward measured; nothing if it is applied already."""

    def train(self, mode: bool = True) -> Self:
        """Set training mode; leaving it applies what is pending."""
        if not mode:
            self.flush()
        super().train(mode)
        return self

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, local_metadata: Any, *others: Any
    ) -> None:
        """Load, and apply what is pending if the layer is not in training."""
        *_, errors = others
        version = local_metadata.get("version", self._version)
        if version > self._version:
            errors.append(
                f"{prefix or 'the layer'} was saved by a newer solvq (state version {version}, "
                f"known up to {self._version}); upgrade solvq"
            )
            return
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *others)
        if not self.training:
            self.flush()

    @property
    def rate(self) -> Rate:
        """Bits per latent: nominal, and by the entropy of the indices counted."""
        return rate(self.usage_counts.view(self.n_levels, self.n_codes))

    def usage(self) -> Usage:
        """How codes were used by training forwards and `measure` since `reset_usage`."""
        return usage(self.usage_counts.view(self.n_levels, self.n_codes), self.usage_weights)

    @torch.no_grad()
    def reset_usage(self) -> None:
        """Start the counts of `usage`, `rate` and `revive` anew."""
        for name, buffer in self.named_buffers(recurse=False):
            if name.startswith("usage_"):
                buffer.zero_()

    def _served(self) -> Tensor:
        """How much each code did since `reset_usage`, in latents."""
        weights = self.usage_weights
        return self.usage_counts if weights is None or not self.mixes else weights

    def _level(self, level: int) -> Tensor:
        """Which codewords belong to a level."""
        code = torch.arange(len(self.usage_counts), device=self.table.device)
        return code // self.n_codes == level

    def _put(self, which: Tensor, words: Tensor, counts: Tensor | None = None) -> None:
        """Set codewords, on data that fall to them ``counts`` times (None: not known)."""
        self.table[which] = words.to(self.table.dtype)
