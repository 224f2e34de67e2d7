"""The command line: what it prints, where, and with which exit code."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner, Result

import solvq
import solvq.checkpoint
from solvq.checkpoint import FormatError, Settings, compress, inspect, load
from solvq.cli import app
from solvq.cli._compress import Compress
from solvq.scalar import METHODS

CHECKPOINTS = ("compress", "decompress", "inspect")
COMMANDS = (*CHECKPOINTS, "diff", "quantize", "train", "eval")
NAMES = ("a.weight", "[bold]b[/bold]", "red\x1b[31m\r\nline", "层.ö", "\u202eright-to-left")


def run(*arguments: object) -> Result:
    """Outcome of a command line, run in this process."""
    return CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)


def program(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Outcome of a command line, run in a process of its own."""
    command = [sys.executable, "-m", "solvq", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, encoding="latin-1", check=False, **options)


def error_line(result: Result) -> str:
    """The one line on standard error; nothing else was printed."""
    assert result.stdout == ""
    assert result.stderr.startswith("solvq: error: ")
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr
    return result.stderr


@pytest.fixture
def model(tmp_path: Path, rng: np.random.Generator) -> Path:
    """A small checkpoint with names that are hard to print."""
    tensors: dict[str, Any] = {name: rng.normal(size=(32, 40)).astype("f4") for name in NAMES}
    tensors |= {"ids": np.arange(5), "bias": np.ones(7, "f4"), "one": np.array(2.0)}
    save_file(tensors, tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers, the same every time."""
    return np.random.default_rng(0)


@pytest.fixture
def small(model: Path, tmp_path: Path) -> Path:
    """The checkpoint, compressed."""
    compress(model, tmp_path / "small.safetensors", n_values=4)
    return tmp_path / "small.safetensors"


# Help and usage


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command: str) -> None:
    assert command in run("--help").stdout
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"Example: solvq {command} " in result.stdout
    assert all(len(line) <= 80 for line in result.stdout.splitlines())


def test_help_is_light() -> None:
    code = "import sys, solvq.cli; print({'numpy', 'numba', 'rich.console'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize("arguments", [(), ("frobnicate",), ("compress", "x"), ("inspect",)])
def test_wrong_usage(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


def test_version() -> None:
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"solvq {solvq.__version__}\n")
    assert solvq.__version__ in program("--version").stdout


def test_methods_are_the_table(model: Path, tmp_path: Path) -> None:
    text = "".join(run("compress", "--help").stdout.split())  # lines may end at any hyphen
    assert f"found:{','.join(METHODS)}.[default:optimal]" in text
    for method in METHODS:
        out = tmp_path / method
        result = run("compress", model, "-o", out, "--method", method, "--json")
        assert json.loads(result.stdout)["settings"]["method"] == method


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--method", "magic"], [*METHODS, "magic"]),
        (["--layout", "columns"], ["columns", "group:N"]),
        (["--layout", "group:0"], ["group:0"]),
        (["--n-values", "0"], ["n_values is 0"]),
        (["--n-values", "70000"], ["65536"]),
        (["--n-values", "8", "--bits", "3"], ["--n-values and --bits exclude each other"]),
        (["--bits", "17"], ["--bits"]),
        (["--min-size", "-1"], ["min_size is -1"]),
        (["--entropy", "--size", "1MB", "--scale", "row"], ["scale is 'row'", "budget"]),
        (["--jobs", "0"], ["--jobs"]),
    ],
)
def test_bad_settings_are_usage(
    model: Path, tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    result = run("compress", model, "-o", tmp_path / "out", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert all(word in result.stderr for word in words)
    assert not (tmp_path / "out").exists()


def test_defaults_are_those_of_the_library() -> None:
    plain = Compress(source=Path("a"), output=Path("b"))
    assert Settings(**plain.settings) == Settings()


# Reports


def test_there_and_back(model: Path, tmp_path: Path) -> None:
    out, back = tmp_path / "out", tmp_path / "back"
    options = ("--bits", 3, "--layout", "row", "--include", "*.*", "--include", "[[]*", "--jobs", 1)
    done = run("compress", model, "-o", out, *options, "--exclude", "*ö", "--min-size", 9)
    assert (done.exit_code, done.stderr) == (0, "")
    shown = run("inspect", out, "--certify", model)
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert run("decompress", out, "--output", back).exit_code == 0
    restored, original = load_file(back), load_file(model)
    kept = {name for name in original if np.array_equal(original[name], restored[name])}
    assert set(original) - kept == {"a.weight", "[bold]b[/bold]"}
    assert all(len(np.unique(row)) == 8 for row in restored["a.weight"])


def test_nothing_compressed(model: Path, tmp_path: Path) -> None:
    result = run("compress", model, "-o", tmp_path / "out", "--exclude", "*")
    assert result.exit_code == 0
    assert "nan" not in result.stdout
    assert result.stdout.count("kept: ") == len(NAMES) + 3


@pytest.mark.parametrize("command", CHECKPOINTS)
def test_json_is_the_report(command: str, model: Path, small: Path, tmp_path: Path) -> None:
    source = model if command == "compress" else small
    output = () if command == "inspect" else ("-o", tmp_path / "out")
    options = ("--n-values", 4) if command == "compress" else ()
    result = run(command, source, *output, *options, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    found, expected = json.loads(result.stdout), json.loads(json.dumps(inspect(small).to_dict()))
    assert found.keys() == expected.keys()
    assert found.pop("seconds") > 0
    assert expected.pop("seconds") > 0
    if command == "compress":  # the time stands in the file, and its text may vary in length
        assert abs(found.pop("nbytes_after") - expected.pop("nbytes_after")) < 32
        assert found.pop("ratio") == pytest.approx(expected.pop("ratio"), rel=0.01)
    assert found == expected


# Failures


def test_existing_output_is_untouched(model: Path, small: Path) -> None:
    before = small.read_bytes()
    for command in (["compress", model], ["decompress", small]):
        result = run(*command, "-o", small)
        assert result.exit_code == 1
        assert "--force" in error_line(result)
        assert small.read_bytes() == before
    assert run("compress", model, "-o", small, "--force", "--bits", 1).exit_code == 0
    assert small.read_bytes() != before


def test_bad_files(model: Path, small: Path, tmp_path: Path) -> None:
    junk, out = tmp_path / "junk\n.safetensors", tmp_path / "out"
    junk.write_bytes(b"junk" * 100)
    damaged = tmp_path / "damaged"
    damaged.write_bytes(small.read_bytes()[:-1] + b"\xff")
    lines = [
        ["compress", tmp_path / "none", "-o", out],
        ["compress", junk, "-o", out],
        ["compress", small, "-o", out],
        ["compress", model, "-o", tmp_path],
        ["compress", model, "-o", tmp_path / "none" / "out"],
        ["decompress", model, "-o", out],
        ["decompress", tmp_path, "-o", out],
        ["decompress", damaged, "-o", out],
        ["inspect", junk, "--json"],
        ["inspect", small, "--certify", small],
    ]
    for line in lines:
        result = run(*line)
        assert result.exit_code == 1, line
        assert "internal" not in error_line(result), line
    assert not list(tmp_path.glob("*out*"))


def test_nonfinite_tensor_is_named(tmp_path: Path) -> None:
    source, out = tmp_path / "nan.safetensors", tmp_path / "out"
    save_file({"bad\nname": np.full((40, 40), np.nan)}, source)
    result = run("compress", source, "-o", out)
    assert result.exit_code == 1
    assert r"bad\nname" in error_line(result)
    assert run("compress", source, "-o", out, "--skip-nonfinite").exit_code == 0


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (FormatError("x: not\na model"), 1, "x: not a model"),
        (ValueError("\x1b[31mred"), 1, r"\x1b[31mred"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "No space left on device"),
        (OSError(errno.ENOSPC, "No space left", "out"), 1, "out: No space left"),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "d"), 1, "d: Is a directory"),
        (PermissionError(errno.EACCES, "Permission denied", "f"), 1, "f: Permission denied"),
        (FileExistsError("out: exists"), 1, "out: exists"),
        (MemoryError("Unable to allocate 9 GiB"), 1, "out of memory Unable to allocate 9 GiB"),
        (MemoryError(), 1, "out of memory"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (KeyError("k"), 1, "internal error, KeyError: 'k'; set SOLVQ_DEBUG=1 for the traceback"),
    ],
    ids=repr,
)
def test_every_error_is_one_line(
    error: BaseException, code: int, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(solvq.checkpoint, "inspect", fails)
    monkeypatch.delenv("SOLVQ_DEBUG", raising=False)
    result = run("inspect", "file")
    assert result.exit_code == code
    assert error_line(result).startswith(f"solvq: error: {line}")
    if isinstance(error, Exception):
        monkeypatch.setenv("SOLVQ_DEBUG", "1")
        with pytest.raises(type(error)):
            run("inspect", "file")


def test_warnings_are_lines(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def warns(*_: object, **__: object) -> Any:
        warnings.warn("did not\nconverge", stacklevel=1)
        return inspect(small)

    monkeypatch.setattr(solvq.checkpoint, "inspect", warns)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        result = run("inspect", small)
    assert (result.exit_code, result.stderr) == (0, "solvq: warning: did not converge\n")


def test_streams_of_the_program(small: Path, tmp_path: Path) -> None:
    done = program("inspect", small, env=os.environ | {"PYTHONIOENCODING": "latin-1"})
    assert (done.returncode, done.stderr) == (0, "")
    assert r"\u5c42.ö" in done.stdout
    failed = program("inspect", tmp_path / "none")
    assert (failed.returncode, failed.stdout, failed.stderr.count("\n")) == (1, "", 1)


def test_broken_pipe_is_quiet(small: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "solvq", "inspect", str(small), "--json"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


def test_progress_is_called(model: Path, tmp_path: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    Compress(source=model, output=tmp_path / "out").run(lambda *call: calls.append(call))
    assert {name for name, _, _ in calls} - {""} == set(load(tmp_path / "out"))
    assert calls[-1][1] == calls[-1][2]
