"""``python -m bench.networks.train_language_model``: train the small language model.

Text, tokeniser, weights and the order of the batches come from a package of fixed version and a
seed, so the model can be made again anywhere; ``runs/small-lm.sh`` is the command.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from bench.environment import environment
from bench.networks import scripture
from bench.networks.language_model import Shape, forward, negative_log_likelihood, start

BATCH, RATE, DECAY = 16, 3e-3, 0.1
PACKAGES = ("torch", "tokenizers", "safetensors", scripture.PACKAGE)
END = "<end>"  # between chapters
MODEL, WORDS = "small-lm.safetensors", "small-lm-tokenizer.json"


def tokenizer(texts: list[str], vocabulary: int) -> Any:
    """Byte-level subwords learned from the texts."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END],
        initial_alphabet=sorted(alphabet),
        show_progress=False,
    )
    made.train_from_iterator(texts, trainer)
    return made


def encode(words: Any, texts: list[str]) -> NDArray[np.int64]:
    """Tokens of all texts, an end mark before each."""
    parts = [[words.token_to_id(END), *one.ids] for one in words.encode_batch(texts)]
    return np.concatenate([np.asarray(part, np.int64) for part in parts])


def rate(step: int, steps: int) -> float:
    """Share of the learning rate: a short rise, then half a cosine down to a fiftieth."""
    rise = max(1, steps // 20)
    if step < rise:
        return (step + 1) / rise
    return 0.02 + 0.49 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def train(
    state: dict[str, Any], tokens: NDArray[np.int64], steps: int, seed: int = 0
) -> dict[str, Any]:
    """Weights after so many steps of AdamW on random windows of the tokens; says how it goes."""
    import torch
    from torch.nn import functional

    text, context = torch.tensor(tokens), state["position.weight"].shape[0]
    state = {name: tensor.clone().requires_grad_() for name, tensor in state.items()}
    matrices = [tensor for tensor in state.values() if tensor.ndim > 1]
    vectors = [tensor for tensor in state.values() if tensor.ndim == 1]
    groups = [
        {"params": matrices, "weight_decay": DECAY},
        {"params": vectors, "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.95))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate(step, steps))
    generator = torch.Generator().manual_seed(seed)
    started = time.perf_counter()
    for step in range(steps):
        places = torch.randint(len(text) - context, (BATCH,), generator=generator)
        rows = torch.stack([text[place : place + context + 1] for place in places])
        scores = forward(state, rows[:, :-1])
        loss = functional.cross_entropy(scores.flatten(0, 1), rows[:, 1:].flatten())
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([*matrices, *vectors], 1.0)
        optimiser.step()
        schedule.step()
        if step % 100 == 0 or step == steps - 1:
            seconds = time.perf_counter() - started
            print(f"step {step} loss {loss.item():.4f} {seconds:.0f} s", file=sys.stderr)
    return {name: tensor.detach() for name, tensor in state.items()}


def bits_per_byte(state: dict[str, Any], tokens: NDArray[np.int64], n_bytes: int) -> float:
    """Bits that the model needs for a byte of a text."""
    return negative_log_likelihood(state, tokens)[0] / math.log(2) / n_bytes


def make(out: Path, steps: int, seed: int, shape: Shape) -> dict[str, Any]:
    """Train and write the model, its tokeniser and a record of the run."""
    import torch

    torch.set_num_threads(1)
    training, held_out = scripture.split(scripture.chapters())
    words = tokenizer(training, shape.vocabulary)
    state = train(start(shape, seed), encode(words, training), steps, seed)
    n_bytes = sum(len(text.encode()) for text in held_out)
    facts = environment(PACKAGES, seed, 1)
    module = "bench.networks.train_language_model"
    facts["command"] = facts["command"].replace("bench ", f"{module} ", 1)
    record = {
        "environment": facts,
        "steps": steps,
        "shape": shape._asdict(),
        "weights": sum(tensor.numel() for tensor in state.values()),
        "held_out_bytes": n_bytes,
        "bits_per_byte": bits_per_byte(state, encode(words, held_out), n_bytes),
    }
    out.mkdir(parents=True, exist_ok=True)
    words.save(str(out / WORDS))
    save_file({name: tensor.numpy() for name, tensor in state.items()}, out / MODEL)
    (out / "small-lm.json").write_text(json.dumps(record, indent=1) + "\n")
    return record


def main() -> int:
    """Train as the command line says; print the record."""
    command = argparse.ArgumentParser(
        prog="python -m bench.networks.train_language_model",
        description=__doc__.splitlines()[0] if __doc__ else None,
    )
    add = command.add_argument
    add("--out", type=Path, default=Path("build/compression"), metavar="FOLDER")
    add("--steps", type=int, default=1500, metavar="N", help="of the optimiser (default 1500)")
    add("--seed", type=int, default=0, metavar="N", help="of weights and batches (default 0)")
    options = command.parse_args()
    record = make(options.out, options.steps, options.seed, Shape())
    print(json.dumps(record, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
