"""The models. Adding one: one file here, one line in `MODELS`."""

from bench.compression.models._base import Measure, Model
from bench.compression.models.efficientnet import EfficientNetLite0
from bench.compression.models.g2p import G2P
from bench.compression.models.minilm import MiniLM
from bench.compression.models.resnet import ResNet20, ResNet56
from bench.compression.models.small_lm import SmallLM

MODELS: dict[str, type[Model]] = {
    model.name: model for model in (MiniLM, G2P, ResNet20, ResNet56, EfficientNetLite0, SmallLM)
}

__all__ = ["MODELS", "Measure", "Model"]
