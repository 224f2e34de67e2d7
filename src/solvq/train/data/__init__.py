"""Images in the form people have them, as training and test sets."""

try:
    import PIL  # noqa: F401
except ModuleNotFoundError as error:
    raise ImportError("images need Pillow: pip install 'solvq[train]'") from error

from solvq.train.data._open import open_images
from solvq.train.data._split import Decoded, Images, Split, Stored

__all__ = ["Decoded", "Images", "Split", "Stored", "open_images"]
