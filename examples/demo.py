"""Compress a trained network, restore it, and measure what its task lost.

The program of ``make demo``. The network spells English words in phonemes; see `g2p`.
"""

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import g2p
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from safetensors import SafetensorError
from safetensors.numpy import load_file

SETTINGS = (
    "--n-values 16",
    "--n-values 16 --layout row",
    "--size 500kB",
    "--size 430kB --entropy",
    "--size 330kB --entropy",
)
Words = list[tuple[str, list[g2p.Pronunciation]]]


class StepError(RuntimeError):
    """A command of the demo failed."""


@dataclass(frozen=True)
class Score:
    """What a file of weights costs, and how well the network does with it."""

    name: str
    size: int
    phoneme_error_rate: float
    word_accuracy: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line; by default that of the process.

    Returns
    -------
    int
        0, or 1 if a step failed; the reason is then the last line on standard error.
    """
    options = _parse(arguments)
    console = Console(stderr=options.json, highlight=False, markup=False, soft_wrap=True)
    try:
        scores = _run(options, console)
    except (OSError, ValueError, StepError, SafetensorError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(_report(scores, options.words), indent=2))
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--setting",
        action="append",
        metavar="OPTIONS",
        help="options of solvq compress, as in --setting='--size 500kB'; repeatable",
    )
    parser.add_argument("--words", type=int, default=2000, help="words to score (default: 2000)")
    parser.add_argument(
        "--out", type=Path, default=Path("build/demo"), help="folder to write (default: build/demo)"
    )
    parser.add_argument(
        "--json", action="store_true", help="JSON on standard output, the rest on standard error"
    )
    return parser.parse_args(arguments)


def _run(options: argparse.Namespace, console: Console) -> list[Score]:
    """Score the original weights and those restored under every setting."""
    _title(console, "1. Find the model and the words of its task")
    model = g2p.checkpoint_path()
    words = g2p.load_words(options.words)
    with np.load(model) as archive:
        original = dict(archive)
    console.print(f"model  {model}")
    n_weights = sum(array.size for array in original.values())
    console.print(f"       {len(original)} arrays, {n_weights:,} weights")
    console.print(f"words  {len(words):,} of the CMU Pronouncing Dictionary")

    options.out.mkdir(parents=True, exist_ok=True)
    files = {"original": (model, model)}
    for i, setting in enumerate(options.setting or SETTINGS):
        stem = options.out / f"g2p-{i + 1}"
        files[setting] = _round_trip(model, stem, shlex.split(setting), console)

    _title(console, "4. Do the task with the original and with the restored weights")
    scores = []
    for name, (stored, restored) in files.items():
        weights = original if restored == model else load_file(restored)
        scores.append(_score(name, weights, stored.stat().st_size, words))
    console.print(_table(scores))
    console.print(_legend(scores[0], len(words)))
    return scores


def _round_trip(
    model: Path, stem: Path, settings: Sequence[str], console: Console
) -> tuple[Path, Path]:
    """Compress and restore `model`; return the compressed and the restored file."""
    compressed = stem.with_suffix(".solvq.safetensors")
    restored = stem.with_suffix(".restored.safetensors")
    _title(console, f"2. Compress with {shlex.join(settings)}")
    _solvq(console, "compress", str(model), "-o", str(compressed), *settings, "--force")
    _title(console, "3. Restore an ordinary file")
    _solvq(console, "decompress", str(compressed), "-o", str(restored), "--force")
    for path in (compressed, restored):
        if not path.is_file():
            raise StepError(f"solvq reported success but did not write {path}")
    return compressed, restored


def _solvq(console: Console, *arguments: str) -> None:
    """Run the command line of solvq with this interpreter and show what it prints."""
    console.print(f"$ solvq {shlex.join(arguments)}", style="bold")
    command = [sys.executable, "-m", "solvq", *arguments]
    status = subprocess.run(command, stdout=console.file, check=False).returncode
    if status != 0:
        raise StepError(f"solvq {arguments[0]} failed with exit status {status}")


def _score(name: str, weights: Mapping[str, NDArray[Any]], size: int, words: Words) -> Score:
    """Measure the network with `weights` on `words`."""
    predicted = g2p.Network(weights).predict([word for word, _ in words])
    references = [accepted for _, accepted in words]
    return Score(
        name=name,
        size=size,
        phoneme_error_rate=g2p.phoneme_error_rate(predicted, references),
        word_accuracy=g2p.word_accuracy(predicted, references),
    )


def _quality_kept(score: Score, original: Score) -> float:
    """Compute exact words after, as a share of exact words before."""
    if original.word_accuracy == 0:
        raise ValueError("the original network gets none of these words right; use more --words")
    return score.word_accuracy / original.word_accuracy


def _table(scores: Sequence[Score]) -> Table:
    """Lay out the scores; the first is the original's."""
    original = scores[0]
    table = Table()
    table.add_column("solvq compress", no_wrap=True)
    for heading in ("bytes", "smaller", "phoneme\nerrors", "exact\nwords", "quality\nkept"):
        table.add_column(heading, justify="right", no_wrap=True)
    for score in scores:
        table.add_row(
            score.name,
            f"{score.size:,}",
            f"{original.size / score.size:.2f}x",
            f"{score.phoneme_error_rate:.1%}",
            f"{score.word_accuracy:.1%}",
            f"{_quality_kept(score, original):.1%}",
        )
    return table


def _legend(original: Score, n_words: int) -> str:
    """Say what the columns mean and how far chance reaches."""
    accuracy = original.word_accuracy
    deviation = (accuracy * (1 - accuracy) / n_words) ** 0.5
    return (
        "quality kept: exact words, as a share of the original's.\n"
        f"{n_words:,} words: exact words are uncertain by {deviation:.1%} (one standard error)."
    )


def _report(scores: Sequence[Score], n_words: int) -> dict[str, Any]:
    """Collect the same numbers for a program to read."""
    original = scores[0]
    rows = [
        asdict(score)
        | {"ratio": original.size / score.size, "quality_kept": _quality_kept(score, original)}
        for score in scores
    ]
    return {"n_words": n_words, "scores": rows}


def _title(console: Console, text: str) -> None:
    """Print the heading of a step."""
    console.print(f"\n{text}", style="bold cyan")


if __name__ == "__main__":
    sys.exit(main())
