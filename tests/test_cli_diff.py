"""``solvq diff``: what it prints, in which order, and with which exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoints import write
from typer.testing import CliRunner, Result

from solvq.checkpoint import compress, diff
from solvq.cli import app
from solvq.scalar import quantize, quantize_rows

X = np.random.default_rng(2).standard_normal((48, 64)).astype(np.float32)
ROWS = ["copied", "tables", "half", "one", "gone", "nan", "turned", "new\x1b"]


def run(*arguments: object) -> Result:
    """Outcome of ``solvq diff``, run in this process."""
    return CliRunner().invoke(app, ["diff", *map(str, arguments)], catch_exceptions=False)


def line_of(result: Result, name: str) -> str:
    """Line of a tensor."""
    found = [line for line in result.stdout.splitlines() if line.endswith(f"  {name}")]
    assert len(found) == 1
    return found[0]


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """A checkpoint, and what other tools could have made of it."""
    infinite = X.copy()
    infinite[0, :2] = np.inf, np.nan
    names = ("copied", "tables", "half", "one", "gone", "nan", "turned")
    a: dict[str, Any] = dict.fromkeys(names, X) | {"nan": infinite}
    b = {
        "copied": X,
        "tables": quantize_rows(X, 4).decode(),
        "half": X.astype(np.float16),
        "one": quantize(X, 8, "kmeans", random_state=0, n_init=1).decode(),
        "nan": X,
        "turned": X.T.copy(),
        "new\x1b": X,
    }
    return write(tmp_path / "a.safetensors", a), write(tmp_path / "b.safetensors", b)


def test_table_of_tensors(pair: tuple[Path, Path]) -> None:
    """Every tensor has one line with its structure; columns are aligned, the total comes last."""
    result = run(*pair)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "copy" in line_of(result, "copied")
    assert "<= 4 per row" in line_of(result, "tables")
    assert "rounded to float16" in line_of(result, "half")
    assert "F32 -> F16" in line_of(result, "half")
    assert "8 per tensor" in line_of(result, "one")
    assert "only in A" in line_of(result, "gone")
    assert "only in B" in line_of(result, r"new\x1b")
    assert "2 not finite; 2 differ" in line_of(result, "nan")
    assert "shapes differ" in line_of(result, "turned")
    assert "48x64 -> 64x48" in line_of(result, "turned")
    lines = result.stdout.splitlines()
    place = lines[0].index("tensor", lines[0].index("shape"))
    assert {line[place - 2 : place] for line in lines[:-1]} == {"  "}
    assert all(line[place] != " " for line in lines[:-1])
    found = diff(*pair)
    one = next(t for t in found.tensors if t.name == "one")
    assert one.proof is not None
    assert f"{one.proof.gap:.4f}" in line_of(result, "one")
    assert lines[-1].startswith("total: ")
    for words in ("1 only in A", "1 only in B", "1 not comparable", "5 tensors compared"):
        assert words in lines[-1]
    assert f"tables {100 * found.gap:.2f} % above the optimum" in lines[-1]


def test_json_is_the_comparison(pair: tuple[Path, Path]) -> None:
    found = json.loads(run(*pair, "--json").stdout)
    names = [tensor["name"] for tensor in found["tensors"]]
    assert sorted(names) == sorted(ROWS)
    one = found["tensors"][names.index("one")]
    assert one["structure"]["n_values"] == one["n_values"] == 8
    assert one["proof"]["gap"] > 0
    assert one["errors"]["snr"] > 0
    assert found["nbytes_a"] == pair[0].stat().st_size


def test_order_choice_and_speed(pair: tuple[Path, Path]) -> None:
    """--sort error puts what cannot be compared first and copies last; --only chooses."""
    names = [line.split("  ")[-1] for line in run(*pair, "--sort", "error").stdout.splitlines()]
    assert set(names[1:4]) == {"gone", "turned", r"new\x1b"}
    assert names[4:7] == ["tables", "one", "half"]
    by_name = [line.split("  ")[-1] for line in run(*pair, "--sort", "name").stdout.splitlines()]
    assert by_name[1:-1] == sorted(by_name[1:-1])
    chosen = run(*pair, "--only", "h*", "--only", "one", "--no-certify", "--jobs", 1)
    assert chosen.stdout.count("\n") == 4
    assert "gap" not in chosen.stdout
    assert "optimum" not in chosen.stdout
    assert run(*pair, "--sort", "size").exit_code == 2
    nothing = run(*pair, "--only", "zzz")
    assert (nothing.exit_code, nothing.stdout, nothing.stderr.count("\n")) == (1, "", 1)


def test_exit_code_tells_of_differences(pair: tuple[Path, Path]) -> None:
    a, b = pair
    assert run(a, a, "--exit-code").exit_code == 0
    assert run(a, b).exit_code == 0
    differs = run(a, b, "--exit-code", "--no-certify")
    assert (differs.exit_code, differs.stderr) == (1, "")
    assert "total" in differs.stdout


def test_compressed_file(pair: tuple[Path, Path], tmp_path: Path) -> None:
    """A compressed file is compared as what it stands for, on both sides."""
    small = tmp_path / "small.safetensors"
    compress(pair[0], small, n_values=4, skip_nonfinite=True)
    result = run(pair[0], small, "--only", "one")
    assert "4 per tensor" in line_of(result, "one")
    assert run(small, pair[0], "--only", "one").exit_code == 0


def test_bad_files_are_one_line(pair: tuple[Path, Path], tmp_path: Path) -> None:
    bad = tmp_path / "bad.safetensors"
    for raw in (b"", pair[0].read_bytes()[:-3]):
        bad.write_bytes(raw)
        for sides in ((pair[0], bad), (bad, pair[0]), (pair[0], tmp_path / "none")):
            result = run(*sides, "--exit-code")
            assert (result.exit_code, result.stdout) == (1, "")
            assert result.stderr.startswith("solvq: error: ")
            assert result.stderr.count("\n") == 1
            assert "internal" not in result.stderr
    assert run(pair[0]).exit_code == 2


def test_empty_checkpoints(tmp_path: Path) -> None:
    a = write(tmp_path / "a.safetensors", {})
    result = run(a, a, "--exit-code")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "0 tensors compared" in result.stdout
