"""Nearest codeword of a codebook learned by gradient: VQ-VAE."""

from __future__ import annotations

from torch import Tensor

from solvq.vector._base import VectorQuantizer
from solvq.vector._estimate import settled
from solvq.vector._layout import NanPolicy
from solvq.vector._parameters import check_number
from solvq.vector._result import Assigned
from solvq.vector._start import small_uniform


class NearestQuantizer(VectorQuantizer):
    """Replace each latent by the nearest of K codewords that follow the latents by gradient.

    Minimises ``mean |z_q - sg(z)|^2 + beta mean |z - sg(z_q)|^2`` over latents and dimensions for
    codewords (first term) and latents (second). The gradient of the values goes to the latents
    unchanged (straight-through).

    Codewords start uniform in (-1/n_codes, 1/n_codes): so short that the nearest one is decided by
    direction, which spreads latents of any scale over the codes. `initialise` starts them from
    data, which this method needs in practice.

    Parameters
    ----------
    dim, n_codes, nan_policy
        As `VectorQuantizer`.
    beta : float, default 0.25
        Weight of the commitment of latents to their codewords, >= 0.

    References
    ----------
    van den Oord, Vinyals, Kavukcuoglu, "Neural discrete representation learning", NeurIPS 2017.
    """

    def __init__(
        self, dim: int, n_codes: int, beta: float = 0.25, *, nan_policy: NanPolicy = "raise"
    ) -> None:
        super().__init__(dim, n_codes, nan_policy=nan_policy)
        self.beta = check_number("beta", beta, 0)
        self._prepare(small_uniform(self.n_codes, self.dim), learned=True)

    def _quantize(self, rows: Tensor, training: bool) -> Assigned:
        return settled(rows, self.codebook.to(rows.dtype), self.beta)
