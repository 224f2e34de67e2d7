"""Image data: every form it comes in, damaged ones, and the split."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PIL")
pytest.importorskip("torch")

from pictures import encode, everything, pixels, write, write_zip
from PIL import Image

from solvq.checkpoint import FormatError
from solvq.train.data import Decoded, Stored, open_images
from solvq.train.data import _open as opening
from solvq.train.data._divide import held_out, named_for_test

# --- splits -------------------------------------------------------------------------------------


def test_a_hash_keeps_a_tenth_and_does_not_depend_on_other_names():
    names = [f"image {index}" for index in range(5000)]
    marks = held_out(names)
    assert 400 < marks.sum() < 600
    assert np.array_equal(held_out(names[::-1]), marks[::-1])
    assert np.array_equal(held_out(names[:700]), marks[:700])
    assert held_out(["a", "b"]).sum() == 1


@pytest.mark.parametrize(
    ("names", "marks"),
    [
        (["train/a.png", "val/b.png"], [False, True]),
        (["train/test_a.png", "test/train_b.png"], [False, True]),
        (["church_train/a.png", "church_val/b.png", "c.png"], [False, True, False]),
        (["train_1.png", "val-2.png", "VAL3.png"], [False, True, True]),
        (["trainstation.png", "valley.png"], None),
        (["train/a.png", "b.png"], None),
    ],
)
def test_names_give_the_split(names, marks):
    found = named_for_test(names)
    assert marks == (None if found is None else found.tolist())


# --- NumPy archives -----------------------------------------------------------------------------


def test_npz_with_both_parts_grey_and_colour(tmp_path):
    for shape in ((8, 8), (8, 8, 1), (8, 8, 3)):
        train, test = pixels(7, *shape), pixels(3, *shape)
        np.savez(tmp_path / "a.npz", x_train=train, x_test=test)
        images = open_images(tmp_path / "a.npz")
        assert (images.name, images.train.size) == ("a", 8)
        assert np.array_equal(everything(images.train), np.broadcast_to(_rgb(train), (7, 8, 8, 3)))
        assert np.array_equal(everything(images.test), np.broadcast_to(_rgb(test), (3, 8, 8, 3)))


def _rgb(array):
    return array[..., None] if array.ndim == 3 else array


def test_npz_of_jpeg_strings_marks_its_test_images(tmp_path):
    smooth = np.linspace(0, 255, 16 * 16 * 3).reshape(16, 16, 3).astype(np.uint8)
    strings = [encode(np.roll(smooth, 3 * index, 1), "JPEG", quality=95) for index in range(6)]
    marks = np.array([0, 0, 1, 0, 1, 0], bool)
    path = tmp_path / "a.npz"
    offsets = np.cumsum([0, *map(len, strings)])
    np.savez(path, jpeg=np.frombuffer(b"".join(strings), np.uint8), offsets=offsets, is_test=marks)
    images = open_images(path)
    wanted = np.stack([np.asarray(Image.open(io.BytesIO(string))) for string in strings])
    assert np.array_equal(everything(images.train), wanted[~marks])
    assert np.array_equal(everything(images.test), wanted[marks])


def test_npz_without_test_part_is_split_by_track(tmp_path):
    y, track = np.repeat([0, 1], 60), np.tile(np.repeat(np.arange(12), 5), 2)
    x = np.broadcast_to((12 * y + track).astype(np.uint8)[:, None, None, None], (120, 4, 4, 3))
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y, track_train=track)
    images = open_images(tmp_path / "a.npz")
    ids = [set(everything(part)[:, 0, 0, 0]) for part in (images.train, images.test)]
    assert not ids[0] & ids[1]
    assert len(ids[0] | ids[1]) == 24
    assert "tracks" in images.note


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"weights": np.zeros(3)}, "no images; needed are x_train"),
        ({"x": np.zeros((2, 4, 4, 3))}, "float64"),
        ({"x": np.zeros((2, 4, 4, 5), np.uint8)}, r"\(2, 4, 4, 5\)"),
        ({"x": np.zeros((2, 4, 4), np.uint8), "is_test": np.zeros(3, bool)}, "is_test"),
        ({"jpeg": np.zeros(3, np.uint8), "offsets": np.array([0, 4])}, "offsets"),
        ({"x_train": np.zeros((2, 4, 4), "u1"), "x_test": np.zeros((2, 5, 5), "u1")}, "one shape"),
    ],
)
def test_npz_that_is_not_images_is_an_error(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(FormatError, match=message):
        open_images(tmp_path / "a.npz")


def test_npz_cut_short_or_with_pickles_is_an_error(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, x=pixels(9, 8, 8, 3))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(FormatError, match=r"not a \.npz archive"):
        open_images(path)
    np.savez(path, x=np.array([{}], object), allow_pickle=True)
    with pytest.raises(FormatError, match=r"not a \.npz archive"):
        open_images(path)


# --- files and their modes ----------------------------------------------------------------------


def test_folder_is_found_in_depth_and_hidden_files_are_not(tmp_path):
    shades = {f"a/{index}.png": index for index in range(30)} | {"b/c/d.bmp": 30}
    for name, shade in shades.items():
        form = "BMP" if name.endswith("bmp") else "PNG"
        write(tmp_path / name, encode(np.full((6, 6, 3), shade, np.uint8), form))
    write(tmp_path / ".cache/x.png", b"")
    write(tmp_path / "__MACOSX/a/1.png", b"")
    write(tmp_path / "readme.txt", b"")
    images = open_images(tmp_path)
    found = [everything(part)[:, 0, 0, 0].tolist() for part in (images.train, images.test)]
    assert sorted(found[0] + found[1]) == list(range(31))
    assert images.name == tmp_path.name


def test_zip_is_split_by_its_folders(tmp_path):
    members = {f"train/{index}.png": encode(pixels(5, 5, 3)) for index in range(4)}
    members["val/0.png"] = encode(np.full((5, 5, 3), 9, np.uint8))
    write_zip(tmp_path / "a.zip", members)
    images = open_images(tmp_path / "a.zip")
    assert (len(images.train), len(images.test)) == (4, 1)
    assert (everything(images.test) == 9).all()


def test_modes_become_rgb(tmp_path):
    shade = np.arange(16, dtype=np.uint8).reshape(4, 4) * 16
    clear = np.dstack([shade, shade, shade, np.zeros_like(shade)])
    wide = shade.astype(np.uint16) * 257
    palette = Image.fromarray(np.dstack([shade] * 3)).convert("P")
    file = io.BytesIO()
    palette.save(file, "PNG")
    forms = {
        "grey.png": (encode(shade), shade),
        "clear.png": (encode(clear), np.full_like(shade, 255)),
        "wide.png": (encode(wide), shade),
        "wide.tif": (encode(wide, "TIFF"), shade),
        "palette.png": (file.getvalue(), np.asarray(palette.convert("RGB"))[..., 0]),
        "half.png": (encode(np.dstack([shade, np.full_like(shade, 255)])), shade),
        "bits.png": (encode(shade > 100), np.where(shade > 100, 255, 0)),
    }
    for name, (data, wanted) in forms.items():
        folder = tmp_path / name
        write(folder / f"train{Path(name).suffix}", data)
        write(folder / f"val{Path(name).suffix}", data)
        image = everything(open_images(folder).train)[0]
        assert np.array_equal(image, np.dstack([wanted] * 3)), name


def test_floating_point_images_are_refused_by_name(tmp_path):
    write(tmp_path / "a.tif", encode(np.zeros((4, 4), np.float32), "TIFF"))
    with pytest.raises(FormatError, match=r"a\.tif.*no known range"):
        open_images(tmp_path)


def test_images_are_turned_upright_cut_and_resized(tmp_path):
    left_to_right = np.zeros((8, 8, 3), np.uint8)
    left_to_right[:, 4:] = 200
    exif = Image.Exif()
    exif[0x0112] = 6  # stored on its side
    wide = np.zeros((8, 24, 3), np.uint8)
    wide[:, 8:16] = 90
    write(tmp_path / "train/turned.png", encode(left_to_right, exif=exif))
    write(tmp_path / "val/wide.png", encode(wide))
    images = open_images(tmp_path, size=8)
    upright = everything(images.train)[0]
    assert (upright[:4] == 0).all()
    assert (upright[4:] == 200).all()
    assert (everything(images.test) == 90).all()
    assert everything(open_images(tmp_path, size=4).test).shape == (1, 4, 4, 3)


def test_jpeg_reduced_while_decoding_is_close_to_the_full_way(tmp_path):
    ramp = np.linspace(0, 255, 256)
    image = np.dstack(
        [ramp[:, None] + 0 * ramp, ramp + 0 * ramp[:, None], 0 * ramp[:, None] + ramp]
    )
    image = image.astype(np.uint8)
    write(tmp_path / "train.jpg", encode(image, "JPEG", quality=95))
    write(tmp_path / "val.png", encode(image))
    images = open_images(tmp_path, size=32)
    difference = everything(images.train).astype(int) - everything(images.test)
    assert np.abs(difference).max() <= 6


def test_images_of_several_sizes_or_no_squares_ask_for_size(tmp_path):
    write(tmp_path / "a.png", encode(pixels(8, 8, 3)))
    write(tmp_path / "b.png", encode(pixels(9, 9, 3)))
    with pytest.raises(ValueError, match=r"b\.png is 9 pixels wide.*a\.png is 8.*give size"):
        open_images(tmp_path)
    write(tmp_path / "a.png", encode(pixels(8, 12, 3)))
    with pytest.raises(ValueError, match=r"a\.png is 12 x 8 pixels.*give size"):
        open_images(tmp_path)
    assert open_images(tmp_path, size=6).train.size == 6


@pytest.mark.parametrize("pack", [False, True])
def test_broken_images_are_named(tmp_path, pack):
    good = encode(pixels(64, 64, 3))
    for broken in (b"", b"no image", good[: len(good) // 2]):
        members = {"a.png": good, "b.png": broken, "c.png": good}
        if pack:
            write_zip(tmp_path / "x.zip", members)
        for name, data in members.items():
            write(tmp_path / "x" / name, data)
        with pytest.raises(FormatError, match=r"b\.png: not an image"):
            open_images(tmp_path / ("x.zip" if pack else "x"))


def test_decompression_bombs_are_one_line(tmp_path, monkeypatch):
    for name in "ab":
        write(tmp_path / f"{name}.png", encode(pixels(32, 32, 3)))
    for limit in (1000, 100):  # a little and far over Pillow's limit
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(FormatError, match=r"a\.png: more than \d+ pixels.*bomb"):
            open_images(tmp_path)


def test_damaged_zips_are_errors(tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(b"PK but no archive")
    with pytest.raises(FormatError, match="not a zip archive"):
        open_images(path)
    image = encode(pixels(8, 8, 3))
    write_zip(path, {"a.png": image, "b.png": image})
    data = bytearray(path.read_bytes())
    data[60] ^= 255
    path.write_bytes(data)
    with pytest.raises(FormatError, match=r"a\.png cannot be unpacked"):
        open_images(path)
    write_zip(path, {"church_outdoor_train_lmdb/data.mdb": b""})
    with pytest.raises(FormatError, match="unzip it first"):
        open_images(path)


def test_many_images_are_decoded_when_asked_for_from_several_threads(tmp_path, monkeypatch):
    members = {f"{index:03}.png": encode(pixels(8, 8, 3)) for index in range(60)}
    write_zip(tmp_path / "a.zip", members)
    stored = open_images(tmp_path / "a.zip")
    monkeypatch.setattr(opening, "IN_MEMORY", 100)
    decoded = open_images(tmp_path / "a.zip")
    assert isinstance(stored.train, Stored)
    assert isinstance(decoded.train, Decoded)
    orders = [np.random.default_rng(seed).permutation(len(decoded.train)) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        for order, batch in zip(orders, pool.map(decoded.train.batch, orders), strict=True):
            assert np.array_equal(batch, stored.train.batch(order))


def test_indices_outside_are_errors(tmp_path):
    np.savez(tmp_path / "a.npz", x_train=pixels(3, 4, 4, 3), x_test=pixels(1, 4, 4, 3))
    images = open_images(tmp_path / "a.npz")
    assert images.train.batch([]).shape == (0, 4, 4, 3)
    for wrong in ([3], [-1]):
        with pytest.raises(ValueError, match="indices go from 0 to 2"):
            images.train.batch(wrong)


def test_another_source_for_testing_gives_all_its_images(tmp_path):
    np.savez(tmp_path / "a.npz", x=pixels(20, 8, 8, 3))
    np.savez(tmp_path / "b.npz", x_train=pixels(3, 8, 8, 3), x_test=pixels(2, 8, 8, 3))
    drawn = open_images(tmp_path / "a.npz", test=tmp_path / "b.npz")
    assert (len(drawn.train), len(drawn.test)) == (20, 5)
    named = open_images(tmp_path / "b.npz", test=tmp_path / "a.npz", size=4)
    assert (len(named.train), len(named.test), named.test.size) == (3, 20, 4)
    assert "all images of a" in named.note


def test_unknown_sources_say_what_is_allowed(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file or folder; data may be photos"):
        open_images(tmp_path / "absent")
    write(tmp_path / "a.txt", b"text")
    with pytest.raises(ValueError, match="not a form of data that is known"):
        open_images(tmp_path / "a.txt")
    with pytest.raises(ValueError, match="no images in it"):
        open_images(tmp_path)
    with pytest.raises(ValueError, match="size must be from"):
        open_images("photos", size=2)
