"""``solvq train`` and ``solvq eval`` as users meet them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from train_cases import smooth_images
from typer.testing import CliRunner, Result

from solvq.cli import app

SMALL = [
    "--steps",
    "4",
    "--batch-size",
    "4",
    "--n-codes",
    "4",
    "--set",
    "width=4",
    "--set",
    "n_blocks=0",
    "--set",
    "dim=4",
]


def run(*arguments: object) -> Result:
    """Outcome of a command line, run in this process."""
    return CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data set in a file."""
    images = smooth_images(size=16)
    path = tmp_path / "images.npz"
    np.savez(path, x_train=images.train.batch(np.arange(30)), x_test=images.test.batch([0, 1, 2]))
    return path


def test_train_resume_and_evaluate(data: Path, tmp_path: Path) -> None:
    """A run is made, found done, and evaluated beside the plain autoencoder."""
    folders = [tmp_path / "plain", tmp_path / "exact"]
    for folder, name in zip(folders, ("none", "soft-convex"), strict=True):
        command = ("train", "--data", data, "-o", folder, "--quantizer", name, *SMALL)
        first = run(*command, "--set", "interval=2")
        assert first.exit_code == 0, first.stderr
        assert f"solvq eval {folder} --table" in first.stdout
        again = json.loads(run(*command, "--set", "interval=2", "--json").stdout)
        assert (again["run"], again["step"]) == (str(folder), 4)
    shown = run("eval", *folders, "--features", "none", "--table", "--plot", tmp_path / "plots")
    assert shown.exit_code == 0, shown.stderr
    lines = shown.stdout.splitlines()
    assert lines[1].startswith("plain autoencoder")
    assert lines[2].startswith("soft-convex")
    assert "3 test images of images" in shown.stdout
    assert {path.suffix for path in (tmp_path / "plots").iterdir()} <= {".svg", ".png"}
    rows = json.loads(run("eval", *folders, "--features", "none", "--table", "--json").stdout)
    assert rows["rows"][0]["figures"]["over_plain"]["mean"] == 1


def test_options_reach_the_configuration(data: Path, tmp_path: Path) -> None:
    """Values of --set are JSON, dots go into dictionaries, and names remain texts."""
    settings = ["options.alpha=0.5", "anneal.alpha=[0.5,2]", "schedule=constant", "flip=false"]
    options = [word for setting in settings for word in ("--set", setting)]
    command = ("train", "--data", data, "-o", tmp_path / "run", "--quantizer", "soft-convex")
    result = run(*command, *SMALL, *options)
    assert result.exit_code == 0, result.stderr
    config = json.loads((tmp_path / "run" / "config.json").read_text())["config"]
    assert config["options"] == {"alpha": 0.5}
    assert config["anneal"] == {"alpha": [0.5, 2]}
    assert (config["schedule"], config["flip"]) == ("constant", False)


@pytest.mark.parametrize(
    ("options", "code", "word"),
    [
        (("--quantizer", "nearst"), 2, "nearst"),
        (("--steps", "0"), 2, "steps"),
        (("--set", "width"), 2, "NAME=VALUE"),
        (("--set", "wings=2"), 2, "wings"),
        (("--set", "width=wide"), 2, "integer"),
        (("--data", "nothing.npz"), 1, "nothing.npz"),
        (("--quantizer", "nearest", "--set", "options.wings=2"), 1, "wings"),
        (("--quantizer", "nearest", "--set", "anneal.wings=[1,2]"), 1, "wings"),
    ],
)
def test_mistakes_are_one_line(
    options: tuple[str, ...], code: int, word: str, data: Path, tmp_path: Path
) -> None:
    """A mistake of usage gives 2, one of data 1; never a traceback."""
    result = run("train", "--data", data, "-o", tmp_path / "run", *SMALL, *options)
    assert result.exit_code == code
    assert word in result.stderr
    assert "Traceback" not in result.output
    assert "internal error" not in result.output


def test_nothing_is_overwritten_without_force(data: Path, tmp_path: Path) -> None:
    """Another configuration is refused in a folder that holds a run; --force begins anew."""
    command = ("train", "--data", data, "-o", tmp_path / "run", *SMALL, "--quantizer", "nearest")
    assert run(*command).exit_code == 0
    refused = run(*command, "--seed", 1)
    assert refused.exit_code == 1
    assert "seed 0, not 1" in refused.stderr
    assert run(*command, "--seed", 1, "--force").exit_code == 0
    missing = run("eval", tmp_path / "nothing")
    assert missing.exit_code == 1
    assert "no run" in missing.stderr
