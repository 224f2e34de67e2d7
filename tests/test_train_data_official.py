"""Data sets as they were published, with their checksums, and the photographs of packages."""

from __future__ import annotations

import io
import runpy
import struct
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PIL")
pytest.importorskip("torch")

from pictures import RANDOM, encode, everything, md5, pixels, write, write_zip
from PIL import Image

from solvq.checkpoint import FormatError
from solvq.train.data import _checksums as checksums
from solvq.train.data import open_images

# --- CIFAR-10 -----------------------------------------------------------------------------------


def python_batch(rows):
    """Pickle rows as Python 2 pickled the official batches (protocol 2, byte strings)."""
    n, width = rows.shape
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
         b"(K\x01J" + struct.pack("<i", n) + b"J" + struct.pack("<i", width) + b"\x86"
        + b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"
        + b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        + b"T" + struct.pack("<i", rows.nbytes) + rows.tobytes() + b"tb"
    )  # fmt: skip
    labels = b"U\x06labels](" + b"K\x05" * n + b"e"
    return b"\x80\x02}(" + b"U\x04data" + array + labels + b"u."


def binary_batch(rows):
    return np.hstack([np.full((len(rows), 1), 7, np.uint8), rows]).tobytes()


def cifar(binary):
    """Return files of three images a batch, and these images."""
    names = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]
    rows = {name: pixels(3, 3072) for name in names}
    encode_batch, ending = (binary_batch, ".bin") if binary else (python_batch, "")
    files = {name + ending: encode_batch(part) for name, part in rows.items()}
    images = np.concatenate(list(rows.values())).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return files, images


def pack(path, files, folder):
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


@pytest.mark.parametrize("binary", [False, True])
def test_cifar_as_published(tmp_path, monkeypatch, binary):
    files, wanted = cifar(binary)
    folder = "cifar-10-batches-bin" if binary else "cifar-10-batches-py"
    archive = tmp_path / ("cifar-10-binary.tar.gz" if binary else "cifar-10-python.tar.gz")
    for name, data in files.items():
        write(tmp_path / folder / name, data)
        monkeypatch.setitem(checksums.MD5, f"{folder}/{name}", md5(data))
    pack(archive, files, folder)
    monkeypatch.setitem(checksums.MD5, archive.name, md5(archive.read_bytes()))
    for source in (tmp_path / folder, archive, tmp_path):
        images = open_images(source)
        assert np.array_equal(everything(images.train), wanted[:15])
        assert np.array_equal(everything(images.test), wanted[15:])
        assert images.name == "CIFAR-10"
        assert "official checksums agree" in images.note


@pytest.mark.parametrize("binary", [False, True])
def test_cifar_with_official_names_and_other_bytes_is_an_error(tmp_path, binary):
    files, _ = cifar(binary)
    folder = "cifar-10-batches-bin" if binary else "cifar-10-batches-py"
    archive = tmp_path / ("cifar-10-binary.tar.gz" if binary else "cifar-10-python.tar.gz")
    pack(archive, files, folder)
    with pytest.raises(FormatError, match=f"{md5(archive.read_bytes())}, not [0-9a-f]+: .*again"):
        open_images(archive)
    for name, data in files.items():
        write(tmp_path / folder / name, data)
        write(tmp_path / "mine" / name, data)
    first = next(iter(files.values()))
    with pytest.raises(FormatError, match=f"data_batch_1.*{md5(first)}, not"):
        open_images(tmp_path / folder)
    assert "not verified" in open_images(tmp_path / "mine").note


def test_cifar_digests_are_the_published_ones():
    assert checksums.MD5["cifar-10-python.tar.gz"] == "c58f30108f718f92721af3b95e74349a"
    assert checksums.MD5["cifar-10-binary.tar.gz"] == "c32a1d4ab5d03f1284b67883e8d87530"
    assert all(len(bytes.fromhex(digest)) == 16 for digest in checksums.MD5.values())


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("data_batch_1", b"cposix\nsystem\n(S'false'\ntR.", r"posix\.system"),
        ("data_batch_1", b"cbuiltins\neval\n(S'1'\ntR.", r"builtins\.eval"),
        ("data_batch_1", b"\x80\x02}.", "no rows of 3072"),
        ("data_batch_1", python_batch(pixels(2, 3000)), "no rows of 3072"),
        ("data_batch_1", python_batch(pixels(2, 3072))[:-3000], "not a batch"),
        ("data_batch_1.bin", binary_batch(pixels(2, 3072))[:-1], "6145 bytes"),
        ("data_batch_1.bin", b"", "0 bytes"),
    ],
)
def test_cifar_batches_that_are_damaged_or_do_something(tmp_path, name, data, message):
    write(tmp_path / name, data)
    with pytest.raises(FormatError, match=message):
        open_images(tmp_path)


def test_tar_that_is_cut_or_holds_something_else(tmp_path):
    files, _ = cifar(binary=True)
    path = tmp_path / "mine.tar.gz"
    pack(path, files, "x")
    assert len(open_images(path).train) == 15
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(FormatError, match="not a tar archive"):
        open_images(path)
    pack(path, {"notes": b"text"}, "x")
    with pytest.raises(FormatError, match="no batches of CIFAR-10"):
        open_images(path)


# --- GTSRB --------------------------------------------------------------------------------------


def signs(prefix):
    """Return frames of 2 classes x 12 tracks x 3 frames; the shade tells the track."""
    return {
        f"{prefix}/{kind:05}/{track:05}_{frame:05}.ppm": encode(
            np.full((20, 19, 3), 12 * kind + track, np.uint8), "PPM"
        )
        for kind in range(2)
        for track in range(12)
        for frame in range(3)
    }


OFFICIAL_TEST = {
    f"GTSRB/Final_Test/Images/{index:05}.ppm": encode(np.full((21, 21, 3), 100, np.uint8), "PPM")
    for index in range(4)
}


@pytest.mark.parametrize("packed", [False, True])
def test_gtsrb_without_test_part_is_split_by_track(tmp_path, packed):
    files = signs("GTSRB/Final_Training/Images")
    files["GTSRB/Final_Training/Images/00000/GT-00000.csv"] = b"Filename;Width"
    if packed:
        write_zip(tmp_path / "signs.zip", files)
    for name, data in files.items():
        write(tmp_path / "signs" / name, data)
    root = tmp_path / ("signs.zip" if packed else "signs")
    sources = [root] if packed else [root, root / "GTSRB", root / "GTSRB/Final_Training/Images"]
    for source in sources:
        images = open_images(source, size=16)
        assert images.name == "GTSRB"
        ids = [everything(part)[:, 8, 8, 0].tolist() for part in (images.train, images.test)]
        assert not set(ids[0]) & set(ids[1])
        assert sorted(ids[0] + ids[1]) == sorted(3 * list(range(24)))


def test_gtsrb_test_part_is_for_testing(tmp_path, monkeypatch):
    for name, data in (signs("GTSRB/Final_Training/Images") | OFFICIAL_TEST).items():
        write(tmp_path / "folders" / name, data)
    (tmp_path / "zips").mkdir()
    training = tmp_path / "zips/GTSRB_Final_Training_Images.zip"
    write_zip(training, signs("GTSRB/Final_Training/Images"))
    write_zip(tmp_path / "zips/GTSRB_Final_Test_Images.zip", OFFICIAL_TEST)
    with pytest.raises(FormatError, match=r"GTSRB_Final_Training_Images\.zip.*official.*md5"):
        open_images(training, size=16)
    for path in (tmp_path / "zips").iterdir():
        monkeypatch.setitem(checksums.MD5, path.name, md5(path.read_bytes()))
    for source in (tmp_path / "folders", tmp_path / "zips"):
        images = open_images(source, size=16)
        assert (len(images.train), len(images.test)) == (72, 4)
        assert (everything(images.test) == 100).all()
    apart = open_images(training, size=16, test=tmp_path / "zips/GTSRB_Final_Test_Images.zip")
    assert (len(apart.train), len(apart.test)) == (72, 4)
    assert "checksums of the official archives agree" in apart.note


# --- LSUN, Hugging Face, photographs ------------------------------------------------------------


def test_lsun_lmdb(tmp_path):
    lmdb = pytest.importorskip("lmdb")
    contents = {"church_outdoor_train_lmdb": 40, "church_outdoor_val_lmdb": 5}
    for name, count in contents.items():
        with lmdb.open(str(tmp_path / name), map_size=1 << 22) as env, env.begin(write=True) as put:
            for index in range(count):
                image = np.full((9, 12, 3), index, np.uint8)
                put.put(f"{name}{index:04}".encode(), encode(image, "WEBP", lossless=True))
    images = open_images(tmp_path, size=8)
    assert (len(images.train), len(images.test)) == (40, 5)
    assert everything(images.train)[:, 0, 0, 0].tolist() == list(range(40))
    alone = open_images(tmp_path / "church_outdoor_train_lmdb", size=8)
    assert len(alone.train) + len(alone.test) == 40
    both = open_images(
        tmp_path / "church_outdoor_train_lmdb", size=8, test=tmp_path / "church_outdoor_val_lmdb"
    )
    assert (len(both.train), len(both.test)) == (40, 5)


def test_lsun_that_is_damaged(tmp_path):
    pytest.importorskip("lmdb")
    write(tmp_path / "data.mdb", b"no database at all")
    with pytest.raises(FormatError, match="not an LMDB"):
        open_images(tmp_path)


def test_hugging_face_saved_folder(tmp_path):
    datasets = pytest.importorskip("datasets")
    rows = {"image": [Image.fromarray(np.full((8, 8, 3), shade, np.uint8)) for shade in range(6)]}
    table = datasets.Dataset.from_dict(rows, datasets.Features({"image": datasets.Image()}))
    splits = {"train": table.select(range(4)), "test": table.select([4, 5])}
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "saved")
    images = open_images(tmp_path / "saved")
    assert everything(images.train)[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert everything(images.test)[:, 0, 0, 0].tolist() == [4, 5]


def test_missing_packages_say_how_to_install_them(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ImportError, match="hf:cifar10 needs datasets: pip install datasets"):
        open_images("hf:cifar10")


def test_photographs_are_split_by_photograph():
    pytest.importorskip("skimage")
    images = open_images("photos")
    assert (len(images.train), len(images.test), images.train.size) == (5236, 1323, 32)
    train, test = (
        {tile.tobytes() for tile in everything(part)} for part in (images.train, images.test)
    )
    assert not train & test
    again = open_images("photos", size=64)
    assert again.train.size == 64
    assert len(again.train) == 1217
    with pytest.raises(ValueError, match="at most 300"):
        open_images("photos", size=400)


def test_copies_of_exact_images_are_found_among_jpegs():
    script = Path(__file__).parents[1] / "runs" / "prepare_cifar.py"
    nearest = runpy.run_path(str(script))["nearest"]
    pool = pixels(600, 32, 32, 3)
    wanted = np.clip(pool[200:230].astype(int) + RANDOM.integers(-9, 10, (30, 32, 32, 3)), 0, 255)
    best, first, second, unproven = nearest(wanted.astype(np.uint8), pool)
    squares = ((wanted[:, None] - pool[None].astype(int)) ** 2).mean((2, 3, 4))
    assert np.array_equal(best, np.arange(200, 230))
    assert first == pytest.approx(squares.min(1))
    assert (second >= np.sort(squares, 1)[:, 1] * (1 - 1e-6)).all()
    assert unproven == 0
