"""Autoencoders with a vector quantizer as bottleneck: data, training, evaluation."""

from solvq.train._autoencoder import Autoencoder, Output
from solvq.train._config import Config
from solvq.train._evaluate import evaluate, up_to_date
from solvq.train._loop import train
from solvq.train._models import MODELS
from solvq.train._objectives import OBJECTIVES
from solvq.train._run import Run, create_run, open_run
from solvq.train._timing import timing
from solvq.train.data import Images, Split, open_images

__all__ = [
    "MODELS",
    "OBJECTIVES",
    "Autoencoder",
    "Config",
    "Images",
    "Output",
    "Run",
    "Split",
    "create_run",
    "evaluate",
    "open_images",
    "open_run",
    "timing",
    "train",
    "up_to_date",
]
