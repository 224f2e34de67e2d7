"""Which images are for testing, where the data itself does not say."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

EVERY = 10


def held_out(names: Sequence[str]) -> NDArray[np.bool_]:
    """Keep about every tenth name for testing, chosen by a hash of the name alone.

    The choice does not depend on order, on other names or on a seed, so that it stays when
    images are added. Equal names (of a group) fall on one side. At least one name is on each
    side if there are two.

    Parameters
    ----------
    names : sequence of str
        One an image: its own name or that of its group.
    """
    digests = {name: hashlib.sha256(name.encode()).digest() for name in set(names)}
    chosen = {name for name, digest in digests.items() if digest[0] % EVERY == 0}
    if len(chosen) in {0, len(digests)}:
        chosen = {min(digests, key=lambda name: digests[name])}
    return np.array([name in chosen for name in names], bool)
