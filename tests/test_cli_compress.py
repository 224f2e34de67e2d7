"""``solvq compress``: every option reaches the library, and wrong ones are one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoints import write
from typer.testing import CliRunner, Result

from solvq.checkpoint import RULES, load
from solvq.cli import app

RNG = np.random.default_rng(0)
DATA = {
    "embed.weight": RNG.standard_normal((40, 40)).astype("f4"),
    "a.weight": RNG.standard_normal((40, 40)).astype("f4"),
    "b.weight": RNG.laplace(size=(40, 40)).astype("f4"),
    "b.bias": RNG.standard_normal(40).astype("f4"),
}


def run(*arguments: object) -> Result:
    """Outcome of a command line."""
    return CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A small checkpoint."""
    return write(tmp_path / "model.safetensors", DATA)


def report(model: Path, *options: object) -> dict[str, Any]:
    """What a run prints as JSON."""
    out = model.with_name("out.safetensors")
    result = run("compress", model, "-o", out, "--force", "--json", *options)
    assert (result.exit_code, result.stderr) == (0, "")
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--size", "4kB"], {"size": 4000, "layout": "auto"}),
        (["--ratio", 5], {"ratio": 5.0}),
        (["--avg-bits", 3.5], {"avg_bits": 3.5}),
        (["--max-error", 0.02], {"max_error": 0.02}),
        (["--max-tensor-error", 0.02], {"max_tensor_error": 0.02}),
        (["--n-values", 5], {"n_values": 5}),
        (["--bits", 3], {"n_values": 8}),
        (["--bits", 3, "--entropy"], {"avg_bits": 3.0, "entropy": True}),
        (["--layout", "rows:2"], {"layout": "rows:2"}),
        (["--scale", "group:20"], {"scale": "group:20"}),
        (["--scale", "row", "--scale-dtype", "e8m0"], {"scale_dtype": "e8m0"}),
        (["--values", "same"], {"values": "same"}),
        (["--scale", "row", "--values", "int8"], {"values": "int8"}),
        (["--lossless"], {"lossless": True}),
        (["--rule", "a*=keep"], {"rules": [*map(list, RULES), ["a*", "keep"]]}),
        (["--include", "a*", "--exclude", "c*"], {"include": ["a*"], "exclude": ["c*"]}),
        (["--min-size", 2000], {"min_size": 2000}),
    ],
    ids=str,
)
def test_options_reach_the_library(
    model: Path, options: list[object], expected: dict[str, Any]
) -> None:
    """The settings of the report are those of the command line, and what is written is read."""
    found = report(model, *options)
    assert {key: found["settings"][key] for key in expected} == expected
    assert bool(found["plan"]) == bool({*expected} & {*BUDGETS})
    assert set(load(model.with_name("out.safetensors"))) == set(DATA)


BUDGETS = ("size", "ratio", "avg_bits", "max_error", "max_tensor_error")


def test_rules_are_obeyed(model: Path) -> None:
    """A kept tensor says why; bits of a rule are the least."""
    found = report(model, "--avg-bits", 3, "--rule", "a*=keep", "--rule", "embed*=4")
    about = {t["name"]: t for t in found["tensors"]}
    assert about["a.weight"]["kept_because"] == "kept by a rule"
    assert about["embed.weight"]["bits_per_weight"] >= 4.0


def test_importance_and_bias(model: Path, tmp_path: Path) -> None:
    """Weights of errors, feedback and corrected biases, and their proof by inspect."""
    x = RNG.standard_normal((200, 40)) + 1.0
    weights = write(
        tmp_path / "w.safetensors",
        {"b.weight": x.var(0), "b.weight:hessian": x.T @ x / 200, "b.weight:mean": x.mean(0)},
    )
    options = ["--importance", weights, "--feedback", "--correct-bias", "--bits", 2]
    about = {t["name"]: t for t in report(model, *options)["tensors"]}
    assert 0 < about["b.weight"]["output_error"] < 1
    assert about["b.bias"]["kept_because"].endswith("corrected")
    out = tmp_path / "out.safetensors"
    shown = run("inspect", out, "--certify", model, "--importance", weights, "--json")
    assert shown.exit_code == 0
    again = {t["name"]: t for t in json.loads(shown.stdout)["tensors"]}
    assert again["b.weight"]["relative_error"] == pytest.approx(
        about["b.weight"]["relative_error"], rel=1e-6
    )


def test_dry_run_prints_and_writes_nothing(model: Path, tmp_path: Path) -> None:
    """With and without an output: the plan for people and for machines."""
    for output in ([], ["-o", tmp_path / "out.safetensors"]):
        shown = run("compress", model, "--size", "4kB", "--dry-run", *output)
        assert (shown.exit_code, shown.stderr) == (0, "")
        assert "plan: loss " in shown.stdout
        assert "kept: 1-D" in shown.stdout
        found = json.loads(run("compress", model, "--size", 4000, "--dry-run", "--json").stdout)
        assert 3000 < found["nbytes_after"] <= 4000
        assert found["plan"]["bound"] <= found["plan"]["loss"]
    shown = run("compress", model, "--max-error", 0.01, "--dry-run")
    assert "plan: bytes " in shown.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--size", "4 parsecs"], "give bytes, as 12MB"),
        (["--size", "0"], "size is 0"),
        (["--size", "4kB", "--ratio", 3], "size and ratio exclude each other"),
        (["--ratio", "-2"], "ratio is -2"),
        (["--avg-bits", "nan"], "avg_bits is nan"),
        (["--avg-bits", "many"], "--avg-bits"),
        (["--max-error", "0"], "max_error is 0"),
        (["--size", "4kB", "--bits", 3], "a budget sets it"),
        (["--avg-bits", 3, "--entropy", "--layout", "row"], "a table per tensor"),
        (["--layout", "auto"], "needs a budget"),
        (["--scale", "rows"], "scale is 'rows'"),
        (["--scale-dtype", "float32"], "scale_dtype is 'float32'"),
        (["--values", "int4"], "values is 'int4'"),
        (["--values", "int8"], "integers need a scale"),
        (["--lossless", "--entropy"], "lossless is exact"),
        (["--rule", "embed"], "give GLOB=keep"),
        (["--rule", "embed=17"], "0 to 16"),
        (["--dry-run"], "plans for a budget"),
    ],
    ids=str,
)
def test_wrong_usage_is_told(
    model: Path, tmp_path: Path, options: list[object], words: str
) -> None:
    """Exit code 2, nothing on standard output, nothing written."""
    result = run("compress", model, "-o", tmp_path / "out.safetensors", *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_nothing_to_write_to(model: Path) -> None:
    """Without an output there must be a dry run."""
    result = run("compress", model)
    assert result.exit_code == 2
    assert "give --output OUT, or --dry-run" in result.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--size", "1kB"], "the smallest file with these settings has"),
        (["--avg-bits", 0.3], "the least with these settings is"),
        (["--max-error", 1e-30], "needs more than 256 values"),
        (["--feedback"], "need the importance"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_one_line(
    model: Path, tmp_path: Path, options: list[object], words: str
) -> None:
    """Exit code 1 and one line; nothing is written."""
    result = run("compress", model, "-o", tmp_path / "out.safetensors", *options)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert words in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]
