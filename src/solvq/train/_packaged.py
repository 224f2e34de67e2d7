"""Files that installed packages bring along."""

from __future__ import annotations

import importlib.util
from pathlib import Path


def packaged(package: str, file: str) -> Path | None:
    """Path of a file in a package, by its name to import; None if it is not installed."""
    found = importlib.util.find_spec(package)
    for folder in (found.submodule_search_locations or ()) if found else ():
        if (path := Path(folder) / file).is_file():
            return path
    return None
