"""Files of numbers: arrays, tables and pictures go in, and come out with few shared values."""

from solvq.media._open import open_medium
from solvq.media._quantize import Target, quantize_file
from solvq.media._report import FileReport, PartReport

__all__ = ["FileReport", "PartReport", "Target", "open_medium", "quantize_file"]
