"""Figures of training runs, by matplotlib."""

try:
    import matplotlib as mpl  # noqa: F401
except ModuleNotFoundError as error:
    raise ImportError("figures need matplotlib: pip install 'solvq[train]'") from error

from solvq.report.figures._figures import FIGURES, draw

__all__ = ["FIGURES", "draw"]
