"""From the bytes of an image file to a square of red, green and blue."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from solvq.files import FormatError

WORDS = {"I;16": "<u2", "I;16L": "<u2", "I;16B": ">u2", "I;16N": "=u2"}


def decode(data: bytes, label: str, size: int | None) -> NDArray[np.uint8]:
    """Decode an image, turn it upright and fit it into a square.

    Grey becomes three equal channels, transparent parts white, 16 bits become 8.

    Parameters
    ----------
    data : bytes
        A file in any format that Pillow reads; of several pictures in it the first is taken.
    label : str
        The name of the file, for messages.
    size : int or None
        Height and width of the square; None takes the image as it is.
    """
    return fit(decode_whole(data, label, size), label, size)


def decode_whole(data: bytes, label: str, size: int | None = None) -> NDArray[np.uint8]:
    """Decode an image and turn it upright, in its own shape (H, W, 3); arguments as `decode`.

    A JPEG may come smaller than it is, but not below twice `size`.
    """
    try:
        with Image.open(BytesIO(data)) as opened:
            if opened.width * opened.height > (Image.MAX_IMAGE_PIXELS or float("inf")):
                raise Image.DecompressionBombError
            if size is not None and opened.format == "JPEG":
                opened.draft(None, (2 * size, 2 * size))  # a JPEG decodes fast to 1/2, 1/4, 1/8
            image = _rgb(ImageOps.exif_transpose(opened))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise FormatError(
            f"{label}: more than {Image.MAX_IMAGE_PIXELS} pixels, which Pillow takes for a "
            "decompression bomb; make the image smaller or leave it out"
        ) from error
    except MemoryError:
        raise
    except Exception as error:  # decoders of damaged files raise many kinds
        raise FormatError(
            f"{label}: not an image that Pillow can read ({error}); repair it or leave it out"
        ) from error
    return np.asarray(image)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in WORDS or image.mode == "I":
        values = np.asarray(image, WORDS.get(image.mode, "=i4")).astype(np.float64)
        return Image.fromarray(np.rint(values.clip(0, 65535) / 257).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise ValueError("floating-point pixels have no known range: save it with 8 or 16 bits")
    if image.has_transparency_data:
        clear = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear)
    return image.convert("RGB")


def fit(pixels: NDArray[np.uint8], label: str, size: int | None) -> NDArray[np.uint8]:
    """Cut the central square out of an image and resize it (Lanczos).

    Parameters
    ----------
    pixels : array of uint8, shape (H, W, 3)
    label : str
        The name of the image, for messages.
    size : int or None
        Height and width of the square; None takes the image as it is.
    """
    height, width = pixels.shape[:2]
    if size is None and height != width:
        raise ValueError(
            f"{label} is {width} x {height} pixels, but images must be squares; give size, "
            "and the central square of each image is resized to it"
        )
    edge = min(height, width)
    top, left = (height - edge) // 2, (width - edge) // 2
    square = pixels[top : top + edge, left : left + edge]
    if size is None or edge == size:
        return square
    image = Image.fromarray(np.ascontiguousarray(square))
    return np.asarray(image.resize((size, size), Image.Resampling.LANCZOS, reducing_gap=3.0))
