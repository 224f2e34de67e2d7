"""Bad files and bad moments: one clear error, nothing lost, never a wrong array."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoints import tensors, write, write_shards
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from solvq import checkpoint
from solvq.checkpoint import FormatError, _compress
from solvq.checkpoint._write import write_tensors
from solvq.checkpoint.source._open import open_source

WEIGHT = {"w": np.random.default_rng(0).standard_normal((40, 40)).astype(np.float32)}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write(tmp_path / "model.safetensors", tensors())


def test_missing_and_foreign_files(tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    with pytest.raises(FileNotFoundError, match=r"nowhere\.safetensors"):
        checkpoint.compress(tmp_path / "nowhere.safetensors", out)
    for name, content in (("a.safetensors", b"hello"), ("b.npz", b"PK"), ("c.bin", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FormatError, match=name.replace(".", r"\.")):
            checkpoint.compress(tmp_path / name, out)
    (tmp_path / "folder").mkdir()
    with pytest.raises(FormatError, match=r"found 0 \.safetensors files"):
        checkpoint.compress(tmp_path / "folder", out)
    assert not out.exists()


def test_truncated_and_lying_headers(model: Path, tmp_path: Path) -> None:
    raw = model.read_bytes()
    bad = tmp_path / "bad.safetensors"
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    cases = [raw[:4], raw[:100], raw[:-1], (2**62).to_bytes(8, "little") + raw[8:]]
    for change in ([0, 10**15], [-8, 0], [8, 4]):
        lying = dict(header)
        name = next(key for key in lying if key != "__metadata__")
        lying[name] = lying[name] | {"data_offsets": change}
        text = json.dumps(lying).encode()
        cases.append(len(text).to_bytes(8, "little") + text + raw[8 + length :])
    for case in cases:
        bad.write_bytes(case)
        with pytest.raises(FormatError, match=r"bad\.safetensors: not a valid safetensors file"):
            checkpoint.compress(bad, tmp_path / "out.safetensors")


def test_wrong_kind(model: Path, tmp_path: Path) -> None:
    small = tmp_path / "small.safetensors"
    checkpoint.compress(model, small)
    with pytest.raises(FormatError, match="not written by solvq"):
        checkpoint.load(model)
    with pytest.raises(FormatError, match="compressed already"):
        checkpoint.compress(small, tmp_path / "again.safetensors")


def test_nonfinite_tensors_are_named_or_kept(tmp_path: Path) -> None:
    bad = np.ones((40, 40), np.float32)
    bad[3, 4], bad[5, 6] = np.nan, np.inf
    model = write(tmp_path / "m.safetensors", WEIGHT | {"bad.weight": bad})
    for layout in ("tensor", "row"):
        out = tmp_path / "out.safetensors"
        with pytest.raises(ValueError, match=r"'bad\.weight'.*2 NaN or infinite.*skip"):
            checkpoint.compress(model, out, layout=layout)
        assert not out.exists()
        report = checkpoint.compress(model, out, layout=layout, skip_nonfinite=True, force=True)
        assert {t.name: t.kept_because for t in report.tensors}["bad.weight"].startswith("NaN")
        np.testing.assert_array_equal(checkpoint.load(out)["bad.weight"], bad)
        out.unlink()


def test_existing_output_needs_force(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    out.write_text("mine")
    with pytest.raises(FileExistsError, match="--force"):
        checkpoint.compress(model, out)
    assert out.read_text() == "mine"
    checkpoint.compress(model, out, force=True)
    with pytest.raises(FileExistsError, match="--force"):
        checkpoint.decompress(out, model)
    with pytest.raises(IsADirectoryError):
        checkpoint.compress(model, tmp_path, force=True)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FormatError, match="not an ordinary file"):
        checkpoint.compress(model, tmp_path / "pipe", force=True)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        checkpoint.compress(model, tmp_path / "no" / "out.safetensors")


@pytest.mark.parametrize(
    ("settings_", "words"),
    [
        ({"n_values": 0}, "n_values is 0"),
        ({"n_values": 65537}, "65536"),
        ({"layout": "columns"}, "group:N"),
        ({"scale": "auto"}, "scale is 'auto'"),
        ({"scale_dtype": "float32"}, "bfloat16, e8m0"),
        ({"values": "float64"}, "e4m3, int8"),
        ({"values": "int8"}, "integers need a scale"),
        ({"values": "e4m3", "method": "uniform"}, "have their own"),
        ({"entropy": True, "method": "uniform"}, "have their own"),
        ({"lossless": True, "entropy": True}, "lossless is exact"),
        ({"feedback": True}, "need the importance"),
        ({"rules": (("*", "many"),)}, "GLOB=keep"),
        ({"layout": "group:0"}, "group:N"),
        ({"method": "magic"}, "optimal"),
        ({"min_size": -1}, "min_size"),
    ],
)
def test_settings_out_of_range(
    model: Path, tmp_path: Path, settings_: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        checkpoint.compress(model, tmp_path / "out.safetensors", **settings_)


def test_shards_must_fit_their_index(tmp_path: Path) -> None:
    folder = write_shards(tmp_path / "folder", tensors())
    index = folder / "model.safetensors.index.json"
    original = index.read_text()
    homes = json.loads(original)["weight_map"]
    for broken in (
        "not json",
        "[]",
        json.dumps({"weight_map": homes | {"ghost": "a.safetensors"}}),
        json.dumps({"weight_map": {"w": "../model.safetensors"}}),
    ):
        index.write_text(broken)
        with pytest.raises(FormatError):
            checkpoint.compress(folder, tmp_path / "out.safetensors")
    index.write_text(json.dumps({"weight_map": homes | {"ghost": "c.safetensors"}}))
    with pytest.raises(FileNotFoundError, match=r"c\.safetensors"):
        checkpoint.compress(folder, tmp_path / "out.safetensors")


def test_archives_with_objects_or_text_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    np.savez(tmp_path / "o.npz", w=np.array([{}], object))
    np.savez(tmp_path / "s.npz", w=np.array(["text"]))
    for name in ("o.npz", "s.npz"):
        with pytest.raises(FormatError, match="'w' has dtype"):
            checkpoint.compress(tmp_path / name, out)


def test_inspect_refuses_another_original(model: Path, tmp_path: Path) -> None:
    small = tmp_path / "small.safetensors"
    checkpoint.compress(model, small)
    other = write(tmp_path / "other.safetensors", WEIGHT)
    with pytest.raises(FormatError, match="is it the original"):
        checkpoint.inspect(small, original=other)
    changed = write(tmp_path / "changed.safetensors", tensors() | {"odd": np.ones(7, np.int8)})
    with pytest.raises(FormatError, match="kept tensor 'odd' differs"):
        checkpoint.inspect(small, original=changed)


def _child(code: str, **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, **options)


BUDGET = {"avg_bits": 3.0, "entropy": True}  # several files are tried


@pytest.mark.parametrize("options", [{}, BUDGET], ids=["once", "tries"])
def test_full_disk_leaves_nothing(model: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    folder = tmp_path / "full"
    folder.mkdir()
    checkpoint.compress(model, tmp_path / "warm.safetensors", **options)  # kernels are written, too
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(OSError, match=r"out\.safetensors"):
            checkpoint.compress(model, folder / "out.safetensors", **options)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("options", [{}, BUDGET], ids=["once", "tries"])
def test_killed_process_leaves_no_half_file(tmp_path: Path, options: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    count = 300 if options else 3000
    data = {f"w{i}": rng.standard_normal((40, 40)).astype(np.float32) for i in range(count)}
    model = write(tmp_path / "m.safetensors", data)
    folder = tmp_path / "out"
    folder.mkdir()
    out = folder / "out.safetensors"
    child = _child(
        "from solvq import checkpoint\n"
        f"checkpoint.compress({str(model)!r}, {str(out)!r}, **{options})"
    )
    while not list(folder.iterdir()) and child.poll() is None:
        time.sleep(0.002)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert child.returncode == -signal.SIGKILL
    assert not out.exists()


@pytest.mark.parametrize("turn", [1, 2])
def test_a_failed_try_leaves_the_old_file(
    model: Path, tmp_path: Path, turn: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, calls = tmp_path / "out.safetensors", 0
    out.write_text("mine")
    before = sorted(tmp_path.iterdir())

    def fails(*given_: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == turn:
            raise OSError(28, "No space left on device")
        return write_tensors(*given_)

    monkeypatch.setattr(_compress, "write_tensors", fails)
    monkeypatch.setattr(_compress, "WASTE", 0.0)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.compress(model, out, force=True, **BUDGET)
    assert calls == turn
    assert out.read_text() == "mine"
    assert sorted(tmp_path.iterdir()) == before


@st.composite
def damage(draw: st.DrawFn, size: int) -> list[tuple[int, int]]:
    """A few bytes to change, often in the header."""
    places = st.one_of(st.integers(0, min(size, 2500) - 1), st.integers(0, size - 1))
    return draw(st.lists(st.tuples(places, st.integers(1, 255)), min_size=1, max_size=4))


def _damaged(raw: bytes, changes: list[tuple[int, int]], cut: int) -> bytes:
    broken = bytearray(raw)
    for place, flip in changes:
        broken[place] ^= flip
    return bytes(broken[: len(broken) - cut])


@pytest.fixture(scope="module", params=[{"n_values": 5}, BUDGET], ids=["packed", "coded"])
def small_file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fuzz")
    write(folder / "m.safetensors", WEIGHT | {"b": np.arange(5, dtype=np.int16)}, format="pt")
    checkpoint.compress(folder / "m.safetensors", folder / "s.safetensors", **request.param)
    return folder / "s.safetensors"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), cut=st.sampled_from([0, 0, 0, 1, 8, 400]))
def test_damaged_files_give_the_truth_or_an_error(
    small_file: Path, data: st.DataObject, cut: int
) -> None:
    raw = small_file.read_bytes()
    changes = data.draw(damage(len(raw)))
    truth = checkpoint.load(small_file)
    bad = small_file.with_name("bad.safetensors")
    bad.write_bytes(_damaged(raw, changes, cut))
    try:
        found = checkpoint.load(bad)
    except FormatError:
        return
    assert set(found) == set(truth)
    for name, x in truth.items():
        assert found[name].dtype == x.dtype
        np.testing.assert_array_equal(found[name], x)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), cut=st.sampled_from([0, 0, 0, 1, 8, 400]))
def test_damaged_models_read_as_the_library_reads_them(
    small_file: Path, data: st.DataObject, cut: int
) -> None:
    raw = small_file.with_name("m.safetensors").read_bytes()
    bad = small_file.with_name("bad-model.safetensors")
    bad.write_bytes(_damaged(raw, data.draw(damage(len(raw))), cut))
    try:
        source = open_source(bad)
    except FormatError:
        return
    expected = load_file(bad)
    assert set(source.entries) == set(expected)
    for name, x in expected.items():
        assert source.raw(name).tobytes() == x.tobytes()
