"""Packages that only some data needs."""

from __future__ import annotations

import importlib
from typing import Any


def optional(module: str, purpose: str, package: str) -> Any:
    """Import a module, or say what needs it and how to install it.

    Parameters
    ----------
    module : str
        Its name.
    purpose : str
        What needs it, as the subject of a sentence.
    package : str
        What pip calls it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        raise ImportError(f"{purpose} needs {module}: pip install {package}") from error
