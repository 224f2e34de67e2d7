"""The grapheme-to-phoneme network of ``make demo``, on words of a dictionary."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, final

import numpy as np

from bench.compression.importance import Calibration
from bench.compression.models._base import Measure, Model, Tensors
from bench.networks import g2p
from bench.networks.examples import example

WORDS = 2000
SEED = 0
CALIBRATION = 512  # other words


@final
class G2P(Model):
    """Two GRUs with 0.83 million weights; embeddings and the last layer included."""

    name = "g2p"
    task = f"g2p-en: pronunciation of {WORDS} words of the CMU dictionary"
    measures = (
        Measure("phoneme_error", False, "phonemes to edit per phoneme of the dictionary"),
        Measure("same_words", True, "share of words pronounced as by the model as shipped"),
    )

    @cached_property
    def module(self) -> Any:
        """The example that holds network and task."""
        return example("g2p")

    def shipped(self) -> Path:
        """Return the package's NumPy archive."""
        return Path(self.module.checkpoint_path())

    @cached_property
    def words(self) -> list[tuple[str, list[list[str]]]]:
        """Words and how they may be pronounced."""
        return list(self.module.load_words(self.place.size(WORDS), seed=SEED))

    def calibration(self) -> Calibration:
        """Words that do not judge, with their first pronunciation."""
        import torch

        letters = {letter: i for i, letter in enumerate(self.module.GRAPHEMES)}
        sounds = {sound: i for i, sound in enumerate(self.module.PHONEMES)}
        judges = {word for word, _ in self.words}
        drawn = self.module.load_words(CALIBRATION, seed=SEED + 1)
        batches = []
        for word, (said, *_) in drawn:
            if word not in judges:
                spelled = [*(letters[letter] for letter in word), letters["</s>"]]
                told = [sounds["<s>"], *(sounds[sound] for sound in said)]
                batches.append((torch.tensor([spelled]), torch.tensor([told])))
        return Calibration(g2p.forward, batches)

    def outputs(self, tensors: Tensors) -> Tensors:
        """Phonemes of each word, as one text."""
        said = self.module.Network(tensors).predict([word for word, _ in self.words])
        return {"said": np.array([" ".join(phonemes) for phonemes in said])}

    def score(self, outputs: Tensors, reference: Tensors) -> dict[str, float]:
        """Edits per phoneme."""
        said = [text.split() for text in outputs["said"].tolist()]
        accepted = [pronunciations for _, pronunciations in self.words]
        return {
            "phoneme_error": float(self.module.phoneme_error_rate(said, accepted)),
            "same_words": float(np.mean(outputs["said"] == reference["said"])),
        }
