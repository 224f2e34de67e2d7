"""``solvq quantize``: every format there and back, and one clear line for what cannot be read."""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

import solvq
from solvq.cli import app
from solvq.cli._parts import drawing


def run(*arguments: object) -> Result:
    """Outcome of ``solvq quantize``, run in this process."""
    words = ["quantize", *map(str, arguments)]
    return CliRunner().invoke(app, words, catch_exceptions=False)


def report(*arguments: object) -> dict[str, Any]:
    """What a command that succeeds prints as JSON."""
    result = run(*arguments, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def error_line(*arguments: object) -> str:
    """The one line on standard error of a command that fails; nothing else is left of it."""
    out = Path(str(arguments[1]))
    before = sorted(out.parent.iterdir())
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("solvq: error: ")
    assert result.stderr.count("\n") == 1
    assert "internal error" not in result.stderr
    assert sorted(out.parent.iterdir()) == before
    return result.stderr


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers, the same every time."""
    return np.random.default_rng(0)


# NumPy


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4", "i2", "u1"])
def test_npy_there_and_back(tmp_path: Path, rng: np.random.Generator, dtype: str) -> None:
    x = (50.0 * rng.standard_normal((30, 4, 5)) + 99.0).clip(0, 255).astype(dtype)
    np.save(tmp_path / "a.npy", x)
    (part,) = report(tmp_path / "a.npy", tmp_path / "b.npy", "--bits", 3)["parts"]
    y = np.load(tmp_path / "b.npy")
    best = solvq.quantize(x, 8)
    assert (y.dtype, y.shape) == (x.dtype, x.shape)
    assert np.array_equal(y, best.decode())
    assert part["distortion"] == pytest.approx(np.mean((x - y.astype(float)) ** 2), rel=1e-9)
    assert (part["n_values"], part["bits"]) == (8, best.rate)
    assert part["lower_bound"] <= part["distortion"]


def test_npz_keeps_what_is_not_chosen(tmp_path: Path, rng: np.random.Generator) -> None:
    arrays: dict[str, Any] = {
        "w": rng.standard_normal(99),
        "v": rng.standard_normal(5).astype("f4"),
        "ids": np.arange(6),
        "text": np.array(["a", "bc"]),
    }
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    found = report(tmp_path / "a.npz", tmp_path / "b.npz", "--n-values", 2)
    with np.load(tmp_path / "b.npz") as back:
        assert back.files == list(arrays)
        assert [np.unique(back[n]).size for n in arrays] == [2, 2, 6, 2]
        assert [back[n].dtype for n in arrays] == [a.dtype for a in arrays.values()]
    assert sorted(found["kept"]) == ["ids", "text"]
    report(tmp_path / "a.npz", tmp_path / "c.npz", "--column", "ids", "--n-values", 2)
    with np.load(tmp_path / "c.npz") as back:
        assert np.array_equal(back["w"], arrays["w"])
        assert np.unique(back["ids"]).size == 2


# As few values as an error allows


def test_fewest_values(tmp_path: Path, rng: np.random.Generator) -> None:
    x = rng.standard_normal(2000)
    np.save(tmp_path / "a.npy", x)
    losses = solvq.rate_distortion(x, range(1, 40)).distortion
    for wanted in (0.3, 0.02, float(losses[6])):
        (part,) = report(
            tmp_path / "a.npy", tmp_path / "b.npy", "-f", "--max-error", repr(wanted * (1 + 1e-9))
        )["parts"]
        assert part["n_values"] == 1 + int(np.argmax(losses <= wanted * (1 + 1e-9)))
    (part,) = report(tmp_path / "a.npy", tmp_path / "b.npy", "-f", "--psnr", 30)["parts"]
    peak = x.max() - x.min()
    assert part["psnr"] == pytest.approx(10 * np.log10(peak**2 / part["distortion"]))
    assert part["psnr"] >= 30
    assert 10 * np.log10(peak**2 / losses[part["n_values"] - 2]) < 30


def test_exact_when_no_error_is_allowed(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([1.5, 2.5, 9.0, 1.5]))
    (part,) = report(tmp_path / "a.npy", tmp_path / "b.npy", "--max-error", 0)["parts"]
    assert (part["n_values"], part["distortion"], part["psnr"]) == (3, 0.0, None)


# Tables


@pytest.fixture
def table(tmp_path: Path, rng: np.random.Generator) -> Path:
    """A CSV with texts that hold commas, quotes and line ends, and numbers of both kinds."""
    pytest.importorskip("pyarrow")
    rows = [f'"a, ""b""\n{i}",{v!r},00{i}' for i, v in enumerate(rng.standard_normal(60).tolist())]
    path = tmp_path / "a.csv"
    path.write_text("city,temp,id\n" + "\n".join(rows) + "\n", "utf-8")
    return path


def read_csv(path: Path) -> dict[str, list[str]]:
    """Columns of a CSV by the standard library."""
    import csv  # noqa: PLC0415

    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    return {name: [row[i] for row in rows[1:]] for i, name in enumerate(rows[0])}


def test_csv_there_and_back(table: Path) -> None:
    out = table.with_name("b.csv")
    found = report(table, out, "--n-values", 4)
    before, after = read_csv(table), read_csv(out)
    assert list(after) == ["city", "temp", "id"]
    assert (after["city"], after["id"]) == (before["city"], before["id"])
    x = np.array(before["temp"], float)
    assert np.array_equal(np.array(after["temp"], float), solvq.quantize(x, 4).decode())
    assert [part["name"] for part in found["parts"]] == ["temp"]
    assert "text ('a, \"b\"\\n0' in row 1)" in found["kept"]["city"]


def test_spaces_around_numbers(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / "a.csv").write_text("x, y\n 1.5, 1\n2.5 , 2\n 1.5,3\n")
    report(tmp_path / "a.csv", tmp_path / "b.csv", "--n-values", 1)
    back = read_csv(tmp_path / "b.csv")
    assert np.allclose(np.array(back["x"], float), 11.0 / 6.0)
    assert back[" y"] == [" 1", " 2", "3"]


def test_csv_to_parquet_and_on(table: Path) -> None:
    from pyarrow import parquet  # noqa: PLC0415

    middle, last = table.with_name("b.parquet"), table.with_name("c.parquet")
    report(table, middle, "--column", "temp", "--column", "id", "--n-values", 9)
    found = parquet.read_table(middle)
    assert [str(kind) for kind in found.schema.types] == ["string", "double", "int64"]
    assert np.unique(found["id"].to_numpy()).size == 9
    report(middle, last, "--n-values", 3)
    again = parquet.read_table(last)
    assert again.schema == found.schema
    assert again["id"] == found["id"]
    assert np.unique(again["temp"].to_numpy()).size == 3


@pytest.mark.parametrize("kind", ["float", "halffloat", "int8", "uint32"])
def test_parquet_keeps_types(tmp_path: Path, kind: str, rng: np.random.Generator) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet  # noqa: PLC0415

    dtype = {"float": "f4", "halffloat": "f2", "int8": "i1", "uint32": "u4"}[kind]
    x = rng.integers(0, 100, 200).astype(dtype)
    parquet.write_table(pa.table({"x": pa.array(x)}), tmp_path / "a.parquet")
    report(tmp_path / "a.parquet", tmp_path / "b.parquet", "--column", "x", "--n-values", 5)
    back = parquet.read_table(tmp_path / "b.parquet")["x"]
    assert str(back.type) == kind
    assert np.array_equal(back.to_numpy(), solvq.quantize(x, 5).decode())


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        (
            "city,x\nParis,1.5\n",
            ["--column", "city"],
            "column 'city' holds text ('Paris' in row 1)",
        ),
        ("city,x\nParis,1.5\n", ["--column", "y"], "no column 'y'; it has 'city', 'x'"),
        ("city,n\nParis,3\n", [], "'city' holds text ('Paris' in row 1), 'n' holds whole numbers"),
        ("x\n1.5\n\n2,3\n", [], "not a valid csv table"),
        ("x,x\n1.5,2\n", [], "two columns are named 'x'"),
        ('x\n1.5\n""\n', ["--column", "x"], "column 'x' holds text ('' in row 2)"),
        ("x\n1.5\nnan\n", [], "column 'x': x has 1 NaN"),
        ("", [], "it is empty"),
        ("x\n", ["--column", "x"], "column 'x': x is empty"),
    ],
)
def test_bad_tables(tmp_path: Path, text: str, options: list[str], words: str) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / "a.csv").write_text(text)
    assert words in error_line(tmp_path / "a.csv", tmp_path / "b.csv", *options)


def test_missing_values_are_named(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet  # noqa: PLC0415

    parquet.write_table(pa.table({"x": [1.5, None, 2.0]}), tmp_path / "a.parquet")
    line = error_line(tmp_path / "a.parquet", tmp_path / "b.parquet")
    assert "column 'x' has 1 missing values among 3" in line
    (tmp_path / "c.parquet").write_bytes(b"PAR1 and nothing else")
    assert "not a valid parquet table" in error_line(tmp_path / "c.parquet", tmp_path / "b.parquet")


# Pictures


def picture(mode: str, rng: np.random.Generator) -> Any:
    """A picture of a mode."""
    image = pytest.importorskip("PIL.Image")
    deep = rng.integers(0, 1 << 16, (20, 31)).astype(np.uint16)
    if mode == "I;16":
        return image.fromarray(deep)
    colours = image.fromarray(rng.integers(0, 256, (20, 31, 4)).astype(np.uint8))
    return colours.convert("RGB").quantize(200) if mode == "P" else colours.convert(mode)


def pixels(path: Path, mode: str) -> Any:
    """Pixels of a file in a mode that holds them."""
    from PIL import Image  # noqa: PLC0415

    with Image.open(path) as image:
        return np.asarray(image if mode == "I;16" else image.convert(mode))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_modes_there_and_back(
    tmp_path: Path, mode: str, suffix: str, rng: np.random.Generator
) -> None:
    picture(mode, rng).save(tmp_path / "a.png")
    found = report(tmp_path / "a.png", tmp_path / f"b{suffix}", "--n-values", 5)
    same = {"1": "L", "P": "RGB"}.get(mode, mode)
    x, y = pixels(tmp_path / "a.png", same), pixels(tmp_path / f"b{suffix}", same)
    names = ["red", "green", "blue"] if same.startswith("RGB") else ["grey"]
    assert [part["name"] for part in found["parts"]] == names
    x, y = (a if a.ndim == 3 else a[..., None] for a in (x, y))
    for c in range(len(names)):
        assert np.array_equal(y[..., c], solvq.quantize(x[..., c], 5).decode())
    if mode in ("LA", "RGBA"):
        assert np.array_equal(x[..., -1], y[..., -1])
        assert found["kept"] == {"alpha": "opacity"}
    exact = report(tmp_path / "a.png", tmp_path / f"c{suffix}", "--bits", 16)
    z = pixels(tmp_path / f"c{suffix}", same)
    assert np.array_equal(z, x if z.ndim == 3 else x[..., 0])
    assert all(part["distortion"] == 0.0 for part in exact["parts"])


@pytest.mark.parametrize(("k", "depth"), [(2, 1), (4, 2), (16, 4), (17, 8)])
def test_few_greys_are_a_palette(
    tmp_path: Path, k: int, depth: int, rng: np.random.Generator
) -> None:
    picture("L", rng).save(tmp_path / "a.png")
    run(tmp_path / "a.png", tmp_path / "b.png", "--n-values", k)
    header = (tmp_path / "b.png").read_bytes()[24:26]
    assert tuple(header) == (depth, 3)
    assert (tmp_path / "b.png").stat().st_size < (tmp_path / "a.png").stat().st_size


def test_few_colours_are_a_palette(tmp_path: Path, rng: np.random.Generator) -> None:
    for mode, k, kind in (("RGB", 6, 3), ("RGB", 9, 2), ("RGBA", 6, 6)):
        picture(mode, rng).save(tmp_path / "a.png")
        run(tmp_path / "a.png", tmp_path / "b.png", "--n-values", k, "-f")
        assert (tmp_path / "b.png").read_bytes()[25] == kind
    clear = np.zeros((8, 8, 4), np.uint8)
    clear[:4] = 255
    pytest.importorskip("PIL.Image").fromarray(clear).save(tmp_path / "a.png")
    run(tmp_path / "a.png", tmp_path / "b.png", "-f")
    assert (tmp_path / "b.png").read_bytes()[25] == 3
    assert np.array_equal(pixels(tmp_path / "b.png", "RGBA"), clear)


def test_jpeg_and_channels(tmp_path: Path, rng: np.random.Generator) -> None:
    picture("RGB", rng).save(tmp_path / "a.jpg")
    report(tmp_path / "a.jpg", tmp_path / "b.png", "--column", "green", "--n-values", 1)
    x, y = pixels(tmp_path / "a.jpg", "RGB"), pixels(tmp_path / "b.png", "RGB")
    assert np.array_equal(x[..., [0, 2]], y[..., [0, 2]])
    assert np.unique(y[..., 1]).size == 1
    assert ".png or .tif" in error_line(tmp_path / "a.jpg", tmp_path / "c.jpg")
    line = error_line(tmp_path / "a.jpg", tmp_path / "c.png", "--column", "alpha")
    assert "no channel 'alpha'; it has red, green, blue" in line


def test_profiles_stay(tmp_path: Path, rng: np.random.Generator) -> None:
    image = pytest.importorskip("PIL.Image")
    picture("RGB", rng).save(tmp_path / "a.png", icc_profile=b"profile" * 20)
    run(tmp_path / "a.png", tmp_path / "b.png")
    with image.open(tmp_path / "b.png") as back:
        assert back.info["icc_profile"] == b"profile" * 20


def refused_pictures(folder: Path, rng: np.random.Generator) -> dict[str, str]:
    """Files that hold pictures of other kinds, and the words by which they are refused."""
    rgb, grey = picture("RGB", rng), picture("L", rng)
    rgb.convert("CMYK").save(folder / "cmyk.tif")
    grey.convert("F").save(folder / "float.tif")
    rgb.save(folder / "frames.tif", save_all=True, append_images=[rgb])
    good = folder / "good.png"
    rgb.save(good)
    raw = good.read_bytes()
    (folder / "cut.png").write_bytes(raw[: len(raw) // 2])
    (folder / "text.png").write_bytes(b"no picture")
    (folder / "empty.tif").write_bytes(b"")
    import zlib  # noqa: PLC0415

    rows = b"".join(b"\0" + bytes(6 * 3) for _ in range(2))
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 3, 2, 16, 2, 0, 0, 0))]
    chunks += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    deep = b"\x89PNG\r\n\x1a\n"
    for kind, data in chunks:
        deep += struct.pack(">I", len(data)) + kind + data
        deep += struct.pack(">I", zlib.crc32(kind + data))
    (folder / "deep.png").write_bytes(deep)
    return {
        "cmyk.tif": "is of mode CMYK; convert it",
        "float.tif": "is of mode F; convert it",
        "frames.tif": "has 2 frames",
        "cut.png": "not a valid picture",
        "text.png": "not a valid picture",
        "empty.tif": "not a valid picture",
        "deep.png": "channels of 16 bits",
    }


def test_other_pictures_are_refused(tmp_path: Path, rng: np.random.Generator) -> None:
    pytest.importorskip("PIL.Image")
    for name, words in refused_pictures(tmp_path, rng).items():
        line = error_line(tmp_path / name, tmp_path / "out.png")
        assert words in line
        assert name in line


# Bad files and usage


def test_bad_arrays(tmp_path: Path) -> None:
    cases: dict[str, tuple[Any, str]] = {
        "nan": (np.array([1.0, np.nan]), "1 NaN or infinite value"),
        "empty": (np.empty((0, 3)), "x is empty"),
        "complex": (np.array([1j]), "dtype complex128"),
        "bool": (np.array([True]), "dtype bool"),
        "text": (np.array(["a"]), "dtype <U1"),
        "object": (np.array([None]), "not a valid .npy file"),
    }
    for name, (array, words) in cases.items():
        np.save(tmp_path / f"{name}.npy", array, allow_pickle=True)
        line = error_line(tmp_path / f"{name}.npy", tmp_path / "b.npy")
        assert words in line
        assert f"{name}.npy" in line
    (tmp_path / "cut.npy").write_bytes((tmp_path / "nan.npy").read_bytes()[:-3])
    assert "not a valid .npy" in error_line(tmp_path / "cut.npy", tmp_path / "b.npy")
    (tmp_path / "cut.npz").write_bytes(b"PK nothing")
    assert "not a valid .npz" in error_line(tmp_path / "cut.npz", tmp_path / "b.npz")
    np.savez(tmp_path / "ids.npz", ids=np.arange(3))
    line = error_line(tmp_path / "ids.npz", tmp_path / "b.npz")
    assert "'ids' holds whole numbers" in line
    np.savez(tmp_path / "nan.npz", w=np.array([np.inf]))
    assert "array 'w': x has 1 NaN" in error_line(tmp_path / "nan.npz", tmp_path / "b.npz")


def test_bad_names(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(9.0))
    out = tmp_path / "b.npy"
    assert "no such file" in error_line(tmp_path / "none.npy", out)
    assert "give a file named .npy" in error_line(tmp_path / "a.docx", out)
    assert "can be written as .npy" in error_line(tmp_path / "a.npy", tmp_path / "b.npz")
    assert "leave out --column" in error_line(tmp_path / "a.npy", out, "--column", "x")
    assert "such folder" in error_line(tmp_path / "a.npy", tmp_path / "b.npy", "--plot", "no/a.svg")
    (tmp_path / "folder.npy").mkdir()
    assert "is a folder" in error_line(tmp_path / "folder.npy", out)
    assert run(tmp_path / "a.npy", out).exit_code == 0
    assert "--force" in error_line(tmp_path / "a.npy", out)
    assert run(tmp_path / "a.npy", tmp_path / "a.npy", "-f", "--n-values", 2).exit_code == 0
    assert np.unique(np.load(tmp_path / "a.npy")).size == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--n-values", "8", "--bits", "3"], "exclude each other"),
        (["--n-values", "8", "--psnr", "30"], "n_values and psnr are given"),
        (["--max-error", "1", "--psnr", "30"], "max_error and psnr are given"),
        (["--max-error", "1", "--method", "kmeans"], "need the exact optimum"),
        (["--n-values", "0"], "n_values is 0"),
        (["--n-values", "70000"], "65536"),
        (["--bits", "17"], "--bits"),
        (["--max-error", "-1"], "max_error is -1"),
        (["--max-error", "nan"], "max_error is nan"),
        (["--method", "magic"], "magic"),
    ],
)
def test_bad_usage(tmp_path: Path, options: list[str], words: str) -> None:
    np.save(tmp_path / "a.npy", np.arange(9.0))
    result = run(tmp_path / "a.npy", tmp_path / "b.npy", *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr
    assert not (tmp_path / "b.npy").exists()


def test_optional_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.csv", "a.png"):
        (tmp_path / name).write_text("x\n1.5\n")
    np.save(tmp_path / "a.npy", np.arange(9.0))
    for module in ("pyarrow", "PIL.Image", "matplotlib"):
        monkeypatch.setitem(sys.modules, module, None)
    assert "solvq[tables]" in error_line(tmp_path / "a.csv", tmp_path / "b.csv")
    assert "solvq[images]" in error_line(tmp_path / "a.png", tmp_path / "b.png")
    plot = ("--plot", tmp_path / "a.svg")
    assert "install matplotlib" in error_line(tmp_path / "a.npy", tmp_path / "b.npy", *plot)


# Curves


def test_curve_is_printed_and_drawn(tmp_path: Path, rng: np.random.Generator) -> None:
    x = rng.standard_normal(300)
    np.save(tmp_path / "a.npy", x)
    plot = tmp_path / "curve.svg"
    options = ("--curve", "--plot", plot) if has_matplotlib() else ("--curve",)
    result = run(tmp_path / "a.npy", tmp_path / "b.npy", *options, "--method", "kmeans")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0].split()[:4] == ["values", "bits/value", "entropy", "error"]
    assert any(line.split()[:2] == ["64", "6"] for line in lines)
    assert sum("|" in line for line in lines) == 12
    if has_matplotlib():
        assert lines[-1] == f"drawn: {plot}"
        assert "<svg" in plot.read_text("utf-8")
    found = report(tmp_path / "a.npy", tmp_path / "c.npy", "--curve")
    curve = found["parts"][0]["curve"]
    assert curve["n_values"] == list(range(1, 257))
    assert curve["distortion"][0] == pytest.approx(x.var())
    assert "curve" not in report(tmp_path / "a.npy", tmp_path / "d.npy")["parts"][0]


def has_matplotlib() -> bool:
    """Whether curves can be drawn."""
    import importlib.util  # noqa: PLC0415

    return importlib.util.find_spec("matplotlib") is not None


def test_drawing_goes_from_corner_to_corner() -> None:
    lines = list(drawing(np.arange(1, 65), 1.0 / np.arange(1.0, 65.0) ** 2))
    assert lines[0].startswith(" 1.0e+00 |*")
    assert lines[11].startswith(" 2.4e-04 |")
    assert lines[11].endswith("*")
    assert len(lines[11]) == 10 + 64
