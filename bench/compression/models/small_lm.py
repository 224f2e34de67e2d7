"""The small language model that ``runs/small-lm.sh`` trains, on held-out chapters."""

from __future__ import annotations

import math
from functools import cached_property
from pathlib import Path
from typing import final

import numpy as np

from bench.compression.importance import Calibration
from bench.compression.models._base import Array, Measure, Model, Tensors, torch_state
from bench.networks import scripture
from bench.networks.language_model import forward, negative_log_likelihood
from bench.networks.train_language_model import MODEL, WORDS, encode

CHAPTERS = 59
CALIBRATION = 128  # windows of the training text


@final
class SmallLM(Model):
    """2.2 million weights; one matrix is embedding and classifier."""

    name = "small-lm"
    task = "a small language model: held-out chapters of the King James Bible"
    measures = (
        Measure("bits_per_byte", False, "of the text, by the model's probabilities"),
        Measure("perplexity", False, "per token of the model's own 2048"),
    )

    def shipped(self) -> Path:
        """Return the trained file."""
        path = self.place.build / MODEL
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} is missing; run: OUT={self.place.build} runs/small-lm.sh"
            )
        return path

    @cached_property
    def texts(self) -> list[str]:
        """Chapters that the model was not trained on."""
        held_out = scripture.split(scripture.chapters())[1]
        return held_out[:2] if self.place.quick else held_out[:CHAPTERS]

    def encode(self, texts: list[str]) -> Array:
        """Tokens of texts."""
        from tokenizers import Tokenizer

        return encode(Tokenizer.from_file(str(self.shipped().with_name(WORDS))), texts)

    @cached_property
    def tokens(self) -> Array:
        """Tokens of the texts that judge."""
        return self.encode(self.texts)

    def calibration(self) -> Calibration:
        """Windows of the training text, evenly spread."""
        import torch

        tokens = self.encode(scripture.split(scripture.chapters())[0])
        length = len(self.tensors()["position.weight"])
        starts = np.linspace(0, len(tokens) - length, CALIBRATION).astype(int)
        return Calibration(
            forward, [torch.tensor(np.stack([tokens[s : s + length] for s in starts]))]
        )

    def outputs(self, tensors: Tensors) -> Tensors:
        """Nats that the texts need, and tokens."""
        nats, number = negative_log_likelihood(torch_state(tensors), self.tokens)
        return {"nats": np.array(nats), "number": np.array(number)}

    def score(self, outputs: Tensors, reference: Tensors) -> dict[str, float]:
        """Bits per byte and perplexity."""
        nats, n_bytes = float(outputs["nats"]), sum(len(text.encode()) for text in self.texts)
        return {
            "bits_per_byte": nats / math.log(2) / n_bytes,
            "perplexity": math.exp(min(700.0, nats / float(outputs["number"]))),
        }
