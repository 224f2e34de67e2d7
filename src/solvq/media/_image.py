"""Pictures, read and written by Pillow."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from solvq.files import FormatError
from solvq.media._base import Medium, needed

CHANNELS = {"L": ("grey",), "RGB": ("red", "green", "blue")}
DEEP = ("I;16", "I;16L", "I;16B")
BITS_PER_SAMPLE = 258  # tag of TIFF
PALETTE = 256  # most colours of a palette


class ImageFile(Medium):
    """A picture, one table of values a channel; an alpha channel is kept.

    Written as a PNG it gets a palette, of 1, 2, 4 or 8 bits a pixel, if its colours fit into one.
    """

    WORD: ClassVar[str] = "channel"
    TARGETS: ClassVar[tuple[str, ...]] = (".png", ".tif", ".tiff")

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path, self.kept = path, {}
        pillow = needed(path, "PIL.Image", "images")
        try:
            with pillow.open(path) as image:
                self._check(image)
                self._info = _information(image)
                pixels = _pixels(image)
        except FormatError:
            raise
        except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
            raise FormatError(f"{path}: not a valid picture ({error})") from None
        except pillow.DecompressionBombError as error:
            raise FormatError(f"{path}: too large for Pillow ({error})") from None
        n_colours = pixels.shape[2] - (pixels.shape[2] + 1) % 2
        names = CHANNELS["L" if n_colours == 1 else "RGB"]
        if unknown := [name for name in columns if name not in names]:
            raise FormatError(f"{path}: has no channel {unknown[0]!r}; it has {', '.join(names)}")
        self._pixels, self._names = pixels, names
        chosen = [name for name in names if name in columns or not columns]
        self.parts = {n: np.ascontiguousarray(pixels[..., names.index(n)]) for n in chosen}
        self.kept = {name: "not asked for" for name in names if name not in chosen}
        if pixels.shape[2] > n_colours:
            self.kept["alpha"] = "opacity"

    def _check(self, image: Any) -> None:
        """Refuse pictures that would not come back as they are."""
        if getattr(image, "n_frames", 1) > 1:
            raise FormatError(f"{self.path}: has {image.n_frames} frames; give a single picture")
        deep = _is_deep(image)
        if not deep and image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA"):
            raise FormatError(
                f"{self.path}: is of mode {image.mode}; convert it to grey, RGB, RGBA or 16-bit "
                "grey first"
            )
        if (_depth(self.path, image) > 8) != deep or (deep and "transparency" in image.info):
            raise FormatError(
                f"{self.path}: has channels of 16 bits, which only opaque grey pictures may have; "
                "convert it to 8 bits first"
            )

    def write(self, path: Path, decoded: Mapping[str, NDArray[Any]]) -> None:
        pixels = self._pixels.copy()
        for name, channel in decoded.items():
            pixels[..., self._names.index(name)] = channel
        if path.suffix.lower() == ".png":
            _save_png(path, pixels, self._info)
        else:
            _picture(pixels).save(path, compression="tiff_adobe_deflate", **self._info)


def _is_deep(image: Any) -> bool:
    """Whether a picture is grey of 16 bits; older versions of Pillow widen it to 32."""
    return image.mode in DEEP or (image.mode == "I" and image.format == "PNG")


def _depth(path: Path, image: Any) -> int:
    """Bits of a channel in the file, which Pillow may have cut."""
    if image.format == "PNG":
        with path.open("rb") as file:
            return file.read(25)[24]
    tags = getattr(image, "tag_v2", {})
    return int(np.max(tags.get(BITS_PER_SAMPLE, 8)))


def _information(image: Any) -> dict[str, Any]:
    """What goes along with the pixels: colour profile, and notes of the camera."""
    info = {}
    if image.info.get("icc_profile"):
        info["icc_profile"] = image.info["icc_profile"]
    exif = image.getexif()
    if len(exif) and image.format in ("JPEG", "PNG"):
        info["exif"] = exif.tobytes()
    return info


def _pixels(image: Any) -> NDArray[Any]:
    """Pixels of shape (H, W, channels): 1 grey, 2 with alpha, 3 colours, 4 with alpha."""
    if _is_deep(image):
        return np.asarray(image).astype(np.uint16)[..., None]
    if image.mode in ("P", "PA"):
        see_through = image.mode == "PA" or "transparency" in image.info
        pixels = np.asarray(image.convert("RGBA" if see_through else "RGB"))
        if (pixels[..., :1] == pixels[..., :3]).all():
            pixels = pixels[..., [0, 3] if see_through else [0]]
        return pixels
    if "transparency" in image.info:
        image = image.convert({"1": "LA", "L": "LA"}.get(image.mode, "RGBA"))
    pixels = np.asarray(image.convert("L") if image.mode == "1" else image)
    return pixels if pixels.ndim == 3 else pixels[..., None]


def _picture(pixels: NDArray[Any]) -> Any:
    """Pillow's picture of pixels."""
    from PIL import Image

    plain = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    return Image.fromarray(np.ascontiguousarray(plain))


def _save_png(path: Path, pixels: NDArray[Any], info: dict[str, Any]) -> None:
    """Write a PNG, with a palette if there are few enough colours."""
    from PIL import Image

    flat = pixels.reshape(-1, pixels.shape[2])
    if pixels.dtype != np.uint8:
        _picture(pixels).save(path, optimize=True, **info)
        return
    word = np.zeros((len(flat), 4), np.uint8)
    word[:, : flat.shape[1]] = flat
    words, places = np.unique(word.view(np.uint32).reshape(-1), return_inverse=True)
    if words.size > PALETTE:
        _picture(pixels).save(path, optimize=True, **info)
        return
    colours = words.view(np.uint8).reshape(-1, 4)
    n_colours = pixels.shape[2] - (pixels.shape[2] + 1) % 2
    table = np.repeat(colours[:, :1], 3, axis=1) if n_colours == 1 else colours[:, :3]
    image = Image.fromarray(places.reshape(pixels.shape[:2]).astype(np.uint8))
    image.putpalette(table.tobytes())
    if pixels.shape[2] > n_colours:
        info = info | {"transparency": colours[:, n_colours].tobytes()}
    image.save(path, optimize=True, **info)
