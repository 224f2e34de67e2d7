"""The table of feature networks, best first."""

from __future__ import annotations

from solvq.train._efficientnet import EfficientNetLite0
from solvq.train._feature_network import FeatureNetwork, perceptual
from solvq.train._lpips import Lpips
from solvq.train._pyramid import Pyramid

__all__ = ["AUTO", "FEATURES", "FeatureNetwork", "load_features", "perceptual", "resolve"]

AUTO = "auto"
FEATURES: dict[str, type[FeatureNetwork]] = {
    network.name: network for network in (Lpips, EfficientNetLite0, Pyramid)
}


def resolve(name: str) -> str:
    """The name itself, or for "auto" that of the first network whose weights are here.

    Raises
    ------
    ValueError
        For a name that is not in the table.
    """
    if name == AUTO:
        return next(known for known, network in FEATURES.items() if network.missing() is None)
    if name not in FEATURES:
        raise ValueError(f"features are {name!r}; choose one of {', '.join((AUTO, *FEATURES))}")
    return name


def load_features(name: str = AUTO) -> FeatureNetwork:
    """Make a feature network; its ``name`` says which one "auto" came to.

    Parameters
    ----------
    name : str, default "auto"
        Entry of `FEATURES`, or "auto" for the first of them whose weights are on this machine.

    Raises
    ------
    ValueError
        For a name that is not in the table.
    FileNotFoundError
        If weights are missing. Nothing is downloaded.
    """
    network = FEATURES[resolve(name)]
    if (lack := network.missing()) is not None:
        raise FileNotFoundError(
            f"features {name!r}: {lack}. Without it choose {resolve(AUTO)!r} "
            f"({FEATURES[resolve(AUTO)].about})"
        )
    return network()
