"""Latents as the bytes that are sent, and back: so that a reconstruction comes from bits.

The receiver has the trained model, codebooks and tables included, and the shape of the latents.
Indices take a fixed number of bits each; what an ideal coder would take stands beside it as an
entropy. A transmission is a final subclass of `Transmission`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from solvq.code import index_bits
from solvq.train._autoencoder import Output
from solvq.vector import Quantized, Rate, SoftConvexSparseQuantizer, VectorQuantizer
from solvq.vector._codes import to_array
from solvq.vector._usage import rate

Shape = tuple[int, int, int]  # images, height and width of the latents
WORD = 32


def pack(numbers: NDArray[np.integer], n_bits: int) -> bytes:
    """Nonnegative integers below ``2**n_bits`` as a stream of bits, high bit first."""
    places = np.arange(n_bits - 1, -1, -1)
    bits = numbers.reshape(-1, 1).astype(np.int64) >> places & 1
    return np.packbits(bits.astype(np.uint8)).tobytes()


def unpack(data: bytes, n_bits: int, count: int) -> NDArray[np.int64]:
    """Invert `pack`."""
    bits = np.unpackbits(np.frombuffer(data, np.uint8), count=count * n_bits)
    return bits.reshape(count, n_bits).astype(np.int64) @ (1 << np.arange(n_bits - 1, -1, -1))


def packed_bytes(n_bits: int, count: int) -> int:
    """Length of what `pack` gives."""
    return -(-n_bits * count // 8)


def from_rows(rows: Tensor, shape: Shape) -> Tensor:
    """Rows (N, dim) as values (B, dim, h, w)."""
    return rows.view(*shape, -1).movedim(-1, 1)


def to_rows(values: Tensor) -> Tensor:
    """Values (B, dim, h, w) as rows (N, dim)."""
    return values.movedim(1, -1).flatten(0, -2)


class Transmission(ABC):
    """A way to send latents.

    Parameters
    ----------
    name : str
        What the latents become.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def send(self, output: Output) -> bytes:
        """Bytes of the latents of a batch."""

    @abstractmethod
    def receive(self, data: bytes, shape: Shape) -> Tensor:
        """Values (B, dim, h, w) for the decoder, of nothing but the bytes."""

    @property
    @abstractmethod
    def rate(self) -> Rate:
        """Bits per latent: nominal, and by the entropy of what was sent, nan where not counted."""


class LayerTransmission(Transmission):
    """What a layer finds, the model's own one or another.

    Parameters
    ----------
    name : str
        As `Transmission`.
    layer : VectorQuantizer
        In eval mode. The counts of the model's own layer are its caller's business.
    own : bool
        Whether it is the model's own layer, whose findings an `Output` holds.
    """

    def __init__(self, name: str, layer: VectorQuantizer, own: bool) -> None:
        super().__init__(name)
        self.layer = layer
        self.own = own

    def found(self, output: Output) -> Quantized:
        """Findings for a batch."""
        if self.own and output.quantized is not None:
            return output.quantized
        self.layer.measure(output.latents)
        return self.layer(output.latents)

    @property
    def rate(self) -> Rate:
        """Bits per latent, as the layer counts them."""
        return self.layer.rate


class Indices(LayerTransmission):
    """The indices of a layer that assigns hard, outside training at least."""

    def send(self, output: Output) -> bytes:
        """Pack the indices."""
        indices = to_array(self.found(output).indices)
        return pack(indices, index_bits(self.layer.n_codes))

    def receive(self, data: bytes, shape: Shape) -> Tensor:
        """Look the codewords up."""
        several = self.layer.n_indices
        whole = shape if several is None else (*shape, several)
        numbers = unpack(data, index_bits(self.layer.n_codes), math.prod(whole))
        indices = torch.from_numpy(numbers).view(whole)
        return self.layer.decode(indices.to(self.layer.table.device))


class Largest(LayerTransmission):
    """Of each mixture the codeword of the largest weight alone: as many bits as a hard layer."""

    def send(self, output: Output) -> bytes:
        """Pack the indices of the largest weights."""
        return pack(to_array(self.found(output).indices), index_bits(self.layer.n_codes))

    def receive(self, data: bytes, shape: Shape) -> Tensor:
        """Look the codewords up."""
        numbers = unpack(data, index_bits(self.layer.n_codes), math.prod(shape))
        indices = torch.from_numpy(numbers).to(self.layer.table.device)
        return from_rows(self.layer.codebook.detach()[indices], shape)

    @property
    def rate(self) -> Rate:
        """Bits of one index."""
        return rate(self.layer.usage_counts[None])


class Sparse(LayerTransmission):
    """Few indices a latent, and places of their weights in the table of a sparse layer.

    The set of the indices but the first has no order; `rate` counts on that, the bytes do not.
    """

    layer: SoftConvexSparseQuantizer

    def send(self, output: Output) -> bytes:
        """Pack all indices, then the places of all weights but the first."""
        found = self.found(output)
        levels = self.layer.levels
        weights = torch.zeros(0) if found.weights is None else found.weights
        places = torch.searchsorted(levels.to(weights.dtype), weights[..., 1:].contiguous())
        indices = pack(to_array(found.indices), index_bits(self.layer.n_codes))
        return indices + pack(to_array(places), index_bits(self.layer.n_values))

    def receive(self, data: bytes, shape: Shape) -> Tensor:
        """Mix the codewords."""
        layer, count = self.layer, math.prod(shape)
        s, width, depth = layer.n_nonzero, index_bits(layer.n_codes), index_bits(layer.n_values)
        cut = packed_bytes(width, s * count)
        device = layer.table.device
        indices = torch.from_numpy(unpack(data[:cut], width, s * count)).view(*shape, s)
        places = torch.from_numpy(unpack(data[cut:], depth, (s - 1) * count)).view(*shape, s - 1)
        others = layer.levels[places.to(device)]
        weights = torch.cat([1 - others.sum(-1, keepdim=True), others], -1)
        return layer.decode(indices.to(device), weights)


class Mixtures(LayerTransmission):
    """Exact mixtures: a bit for each codeword, and float32 weights of all but one on the support.

    Where the values themselves take less, they are sent as float32; a bit a latent says which.
    """

    def send(self, output: Output) -> bytes:
        """One bit a latent, supports, weights, values."""
        found = self.found(output)
        weights = torch.zeros(0) if found.weights is None else found.weights
        dense = to_array(weights.float().flatten(0, -2))
        values = to_array(to_rows(found.values).float())
        support = dense != 0
        plain = dense.shape[1] + WORD * (support.sum(1) - 1) >= WORD * values.shape[1]
        sent = support[~plain]
        rest = sent.copy()
        rest[np.arange(len(sent)), sent.argmax(1)] = False  # what the others leave of 1
        return b"".join(
            [
                np.packbits(plain).tobytes(),
                np.packbits(sent).tobytes(),
                dense[~plain][rest].astype("<f4").tobytes(),
                values[plain].astype("<f4").tobytes(),
            ]
        )

    def receive(self, data: bytes, shape: Shape) -> Tensor:
        """Mix the codewords, or take the values."""
        codebook = to_array(self.layer.codebook.float())
        count, (n_codes, dim) = math.prod(shape), codebook.shape
        raw, start = np.frombuffer(data, np.uint8), packed_bytes(1, count)
        plain = np.unpackbits(raw[:start], count=count).astype(bool)
        n_mixed = count - int(plain.sum())
        end = start + packed_bytes(1, n_mixed * n_codes)
        flat = np.unpackbits(raw[start:end], count=n_mixed * n_codes).astype(bool)
        support = flat.reshape(n_mixed, n_codes)
        numbers = np.frombuffer(data[end:], "<f4")
        values = np.empty((count, dim), np.float32)
        n_weights = len(numbers) - dim * (count - n_mixed)
        values[plain] = numbers[n_weights:].reshape(-1, dim)
        rest, weights = support.copy(), np.zeros(support.shape, np.float32)
        row = np.arange(n_mixed)
        rest[row, support.argmax(1)] = False
        weights[rest] = numbers[:n_weights]
        weights[row, support.argmax(1)] = 1 - weights.sum(1)
        values[~plain] = weights @ codebook
        return from_rows(torch.from_numpy(values), shape).to(self.layer.table)

    @property
    def rate(self) -> Rate:
        """Bits by the supports counted; the choice of a support as if by an ideal coder."""
        return self.layer.rate


class Numbers(Transmission):
    """The values one by one: as float32, or each dimension rounded to 2**n_bits even steps.

    Parameters
    ----------
    values : Tensor of shape (B, dim, h, w)
        Such values, whose least and largest of each dimension bound the steps.
    n_bits : int
        At most 16, or 32 for float32.
    """

    def __init__(self, values: Tensor, n_bits: int) -> None:
        super().__init__("float32 values" if n_bits == WORD else f"{n_bits}-bit values")
        self.n_bits = n_bits
        rows = to_rows(values).float()
        self.low = rows.amin(0)
        self.step = ((rows.amax(0) - self.low) / (2**n_bits - 1)).clamp_min(1e-30)

    def send(self, output: Output) -> bytes:
        """Pack the numbers."""
        rows = to_rows(output.values).float()
        if self.n_bits == WORD:
            return to_array(rows).astype("<f4").tobytes()
        places = ((rows - self.low) / self.step).round().clamp(0, 2**self.n_bits - 1)
        return pack(to_array(places), self.n_bits)

    def receive(self, data: bytes, shape: Shape) -> Tensor:
        """Take the numbers off the stream."""
        dim, count = len(self.low), math.prod(shape)
        if self.n_bits == WORD:
            numbers = np.frombuffer(data, "<f4").astype(np.float32)
            return from_rows(torch.from_numpy(numbers).view(count, dim), shape).to(self.low)
        places = torch.from_numpy(unpack(data, self.n_bits, count * dim)).view(count, dim)
        return from_rows(self.low + self.step * places.to(self.low), shape)

    @property
    def rate(self) -> Rate:
        """Bits of all numbers; their entropy is not counted."""
        return Rate(float(self.n_bits * len(self.low)), math.nan)
