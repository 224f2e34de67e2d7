"""Compressed files that lie: one line, never a wrong array, never much memory."""

from __future__ import annotations

import copy
import json
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoints import forge, forge_entry, join, manifest_of, parts_of, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from solvq import checkpoint
from solvq.checkpoint import FormatError
from solvq.cli import app

Lie = Callable[[dict[str, Any]], Any]
RNG = np.random.default_rng(0)
DATA = {
    "w": RNG.laplace(size=(40, 40)).astype("f4"),
    "v": RNG.laplace(size=(40, 40)).astype("f4"),
    "b": np.repeat(RNG.normal(size=300).astype("f2"), 4),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One checkpoint, packed with scales and coded."""
    folder = tmp_path_factory.mktemp("hostile")
    model = write(folder / "m.safetensors", DATA)
    options = {
        "packed": {"n_values": 5},
        "scaled": {"n_values": 4, "scale": "row"},
        "coded": {"avg_bits": 4.0, "entropy": True},
    }
    for name, chosen in options.items():
        checkpoint.compress(model, folder / name, **chosen)  # type: ignore[arg-type]
    return {name: folder / name for name in options}


def refused(path: Path) -> str:
    """The line with which a file is refused, by the library and by the command line."""
    with pytest.raises(FormatError) as caught:
        checkpoint.load(path)
    line = str(caught.value)
    assert path.name in line
    assert "\n" not in line
    done = CliRunner().invoke(app, ["decompress", str(path), "-o", f"{path}.safetensors"])
    assert done.exit_code == 1
    assert done.stderr.count("\n") == 1
    assert "internal" not in done.stderr
    return line


def scheme(place: int, value: Any) -> Lie:
    """A lie about part of the scheme of a tensor."""

    def lie(manifest: dict[str, Any]) -> None:
        manifest["tensors"]["w"]["scheme"][place] = value

    return lie


def tensor(**changes: Any) -> Lie:
    """A lie about a tensor."""
    return lambda manifest: manifest["tensors"]["w"].update(changes)


def whole(**changes: Any) -> Lie:
    """A lie about the whole."""
    return lambda manifest: manifest.update(changes)


HUGE = 1 << 70
LIES: dict[str, Lie] = {
    "layout too short": scheme(0, [1, 1599, 1, 1599]),
    "layout too long": scheme(0, [1, 1601, 1, 1601]),
    "layout of nothing": scheme(0, [0, 1600, 1, 1600]),
    "blocks of nothing": scheme(0, [1, 1600, 1, 0]),
    "negative sides": scheme(0, [-1, -1600, 1, 1600]),
    "more tables": scheme(0, [40, 40, 1, 40]),
    "no layout": scheme(0, None),
    "words as a layout": scheme(0, "tensor"),
    "short layout": scheme(0, [1, 1600, 1]),
    "no values": scheme(1, 0),
    "negative values": scheme(1, -5),
    "too many values": scheme(1, (1 << 16) + 1),
    "huge values": scheme(1, HUGE),
    "no number of values": scheme(1, float("nan")),
    "infinite values": scheme(1, float("inf")),
    "one value more": scheme(1, 9),
    "entries of integers": scheme(2, "U8"),
    "unknown entries": scheme(2, "F3"),
    "scales without an entry": scheme(3, [40, 40, 1, 40]),
    "unknown scales": scheme(4, "F64"),
    "coded of no bytes": scheme(5, 0),
    "coded of negative bytes": scheme(5, -8),
    "coded of huge bytes": scheme(5, HUGE),
    "short scheme": tensor(scheme=[1, 2]),
    "scheme of an object": tensor(scheme={}),
    "no scheme": tensor(scheme=None),
    "huge shape": tensor(shape=[1 << 40, 1 << 40]),
    "negative shape": tensor(shape=[-40, -40]),
    "other shape": tensor(shape=[40, 41]),
    "no shape": tensor(shape=None),
    "unknown dtype": tensor(dtype="F3"),
    "no dtype": tensor(dtype=None),
    "kept in bytes": tensor(scheme=None, coded=800),
    "no checksums": tensor(crc32=[]),
    "many checksums": tensor(crc32=[1] * 9),
    "wrong checksums": tensor(crc32=[1, 2]),
    "words as checksums": tensor(crc32=["a", "b"]),
    "infinite price": tensor(price="cheap"),
    "no tensors": whole(tensors={}),
    "list of tensors": whole(tensors=[]),
    "another tensor": lambda m: m["tensors"].update(x=m["tensors"]["b"]),
    "words as bytes": whole(nbytes_before="few"),
    "no size": whole(nbytes_before=None),
    "words as a plan": whole(plan={"loss": "little"}),
    "half a plan": whole(plan={"loss": 1.0}),
    "another plan": whole(plan={"cost": 1.0}),
    "no settings": whole(settings=3),
    "no notes": whole(notes=None),
    "a skeleton": whole(skeleton=[10, 1]),
    "half a skeleton": whole(skeleton=[10]),
}


@pytest.mark.parametrize("lie", LIES)
def test_lies_are_refused(files: dict[str, Path], tmp_path: Path, lie: str) -> None:
    """Each in one line that names the file."""
    manifest = manifest_of(files["packed"])
    LIES[lie](manifest)
    refused(forge(files["packed"], manifest, tmp_path / "bad"))


@pytest.mark.parametrize("place", [2, 3])
@pytest.mark.parametrize("layout", [0, 3])
def test_blocks_larger_than_the_tensor(
    files: dict[str, Path], tmp_path: Path, layout: int, place: int
) -> None:
    """Sides that no machine word holds: refused, or read as the whole that they cover."""
    manifest = manifest_of(files["scaled"])
    manifest["tensors"]["w"]["scheme"][layout] = [40, 40, 40, 40]
    manifest["tensors"]["w"]["scheme"][layout][place] = HUGE
    refused(forge(files["scaled"], manifest, tmp_path / "bad"))


def test_a_forged_file_of_the_same_is_read(files: dict[str, Path], tmp_path: Path) -> None:
    """What the tests above change is all that is wrong there."""
    for path in files.values():
        same = forge(path, manifest_of(path), tmp_path / "same")
        for name, x in checkpoint.load(path).items():
            np.testing.assert_array_equal(checkpoint.load(same)[name], x)


def test_texts_that_are_no_manifest(files: dict[str, Path], tmp_path: Path) -> None:
    """Bad JSON, deep JSON, no zlib, a stream that is cut, data behind it."""
    packed = zlib.compress(json.dumps(manifest_of(files["packed"])).encode())
    texts = [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 200_000, b'{"a":' * 100_000]
    texts += [b'{"tensors":' + b"9" * 10_000 + b"}", b'{"tensors": {"w": 1}}']
    cases = [zlib.compress(text) for text in texts]
    cases += [b"", b"junk", packed[:-5], packed[:40], packed + b"more"]
    for case in cases:
        refused(forge(files["packed"], case, tmp_path / "bad"))


def test_bombs_do_not_go_off(files: dict[str, Path], tmp_path: Path) -> None:
    """A few kilobytes that stand for a hundred megabytes are not unpacked."""
    stream = zlib.compressobj(1)
    bomb = b"".join(stream.compress(b" " * (1 << 20)) for _ in range(100)) + stream.flush()
    bad = forge(files["packed"], bomb, tmp_path / "bad")
    tracemalloc.start()
    assert "too long" in refused(bad)
    assert tracemalloc.get_traced_memory()[1] < 30 << 20
    tracemalloc.stop()


def test_signature_and_version(files: dict[str, Path], tmp_path: Path) -> None:
    """Another version is named; a wrong checksum is damage."""
    header, data = parts_of(files["packed"])
    for words, expected in (
        ("1 00000000", "layout version '1'"),
        ("3", "layout version '3'; this solvq reads version 2"),
        ("9" * 1000, "layout version"),
        ("2 00000000", "checksum differs"),
        ("2", "checksum differs"),
        ("", "layout version ''"),
    ):
        header["__metadata__"]["solvq"] = words
        join(tmp_path / "bad", header, data)
        line = refused(tmp_path / "bad")
        assert expected in line
        assert len(line) < 400
    del header["__metadata__"]["solvq"]
    join(tmp_path / "bad", header, data)
    assert "not written by solvq" in refused(tmp_path / "bad")


@pytest.mark.parametrize("kind", ["codebook", "indices"])
def test_swapped_entries(files: dict[str, Path], tmp_path: Path, kind: str) -> None:
    """Parts of one tensor under the name of another."""
    header, data = parts_of(files["packed"])
    one, two = header[f"w:{kind}"], header[f"v:{kind}"]
    one["data_offsets"], two["data_offsets"] = two["data_offsets"], one["data_offsets"]
    join(tmp_path / "bad", header, data)
    assert "checksum differs" in refused(tmp_path / "bad")


@pytest.mark.parametrize("entry", ["w:codebook", "w:indices", "solvq:manifest"])
def test_missing_entries(files: dict[str, Path], tmp_path: Path, entry: str) -> None:
    """A part that is lost, and one that nobody speaks of."""
    header, data = parts_of(files["packed"])
    lost = copy.deepcopy(header)
    lost["x"] = lost.pop(entry)
    join(tmp_path / "bad", lost, data)
    assert "entries" in refused(tmp_path / "bad") or entry.endswith("manifest")


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.parametrize("entry", ["w:indices", "b:lossless"])
def test_damaged_streams(
    files: dict[str, Path], tmp_path: Path, entry: str, data: st.DataObject
) -> None:
    """Streams that are cut or changed, with checksums that fit: an error, or as many weights."""
    header, raw = parts_of(files["coded"])
    stream = bytearray(raw[slice(*header[entry]["data_offsets"])])
    cut = data.draw(st.sampled_from([0, 0, 1, 2, 30, len(stream) - 1]))
    places = st.one_of(st.integers(0, 40), st.integers(0, len(stream) - 1))
    for place in data.draw(st.lists(places, min_size=0 if cut else 1, max_size=3)):
        stream[min(place, len(stream) - 1)] ^= data.draw(st.integers(1, 255))
    bad = forge_entry(files["coded"], entry, bytes(stream[: len(stream) - cut]), tmp_path / "bad")
    try:
        found = checkpoint.load(bad)
    except FormatError:
        refused(bad)
        return
    assert not cut
    name = entry.split(":", maxsplit=1)[0]
    assert found[name].shape == DATA[name].shape
    assert found[name].dtype == DATA[name].dtype


def test_every_changed_byte_of_a_coded_file_is_found(
    files: dict[str, Path], tmp_path: Path
) -> None:
    """Without forged checksums nothing passes."""
    raw = files["coded"].read_bytes()
    truth = checkpoint.load(files["coded"])
    for place in range(8, len(raw), 37):
        broken = bytearray(raw)
        broken[place] ^= 0x55
        (tmp_path / "bad").write_bytes(broken)
        try:
            found = checkpoint.load(tmp_path / "bad")
        except FormatError:
            continue
        assert {k: x.tobytes() for k, x in found.items()} == {
            k: x.tobytes() for k, x in truth.items()
        }
