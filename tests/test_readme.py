"""What the README shows works, and its table is the table of methods."""

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoints import write
from typer.testing import CliRunner

from solvq.checkpoint import RULES
from solvq.cli import app
from solvq.scalar import METHODS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_python_blocks_run() -> None:
    scope: dict[str, object] = {}
    assert len(blocks("python")) == 2
    for block in blocks("python"):
        exec(block, scope)
    assert scope["code"].codebook.size == 16  # type: ignore[attr-defined]
    assert 0 <= scope["model"].gap_ < 1e-9  # type: ignore[attr-defined]


def test_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    weights = np.random.default_rng(0).standard_normal((64, 128)).astype(np.float32)
    write(tmp_path / "model.safetensors", {"w": weights})
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    commands = [shlex.split(line) for line in lines if line.startswith("solvq ")]
    assert len(commands) == 4
    for command in commands:
        result = CliRunner().invoke(app, command[1:])
        assert result.exit_code == 0, result.output


def test_the_two_commands_are_targets_of_make() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for line in blocks("sh")[0].splitlines():
        assert re.search(rf"^{line.split()[1]}:", makefile, re.MULTILINE)


def test_table_of_methods_is_the_table() -> None:
    rows = dict(re.findall(r"^\| `([\w-]+)` \| (.*) \|$", README, re.MULTILINE))
    documented = {name: (kind.__doc__ or "").split("\n\n")[0] for name, kind in METHODS.items()}
    assert rows == {name: text.replace("``", "`") for name, text in documented.items()}


def test_scalar_docs_run() -> None:
    scope: dict[str, object] = {}
    for block in blocks("python", (ROOT / "docs" / "scalar.md").read_text("utf-8")):
        exec(block, scope)
    assert scope["curve"].gap.max() < 1e-9  # type: ignore[attr-defined]
    x, code = scope["x"], scope["code"]
    assert np.ptp(x) ** 2 / code.distortion(x) >= 1e4  # type: ignore[attr-defined,call-overload]


def test_vector_docs_run_and_list_the_layers() -> None:
    pytest.importorskip("torch")
    import solvq.vector  # noqa: PLC0415

    text = (ROOT / "docs" / "vector.md").read_text()
    scope: dict[str, object] = {}
    for block in blocks("python", text):
        exec(block, scope)
    listed, _, rest = text.partition("## Soft convex")
    functions = rest.partition("## What a layer promises")[0]  # tables of figures follow
    assert set(re.findall(r"^\| `([\w-]+)` \|", listed, re.MULTILINE)) == set(solvq.vector.METHODS)
    named = re.findall(r"^\| `([\w-]+)` \|", functions, re.MULTILINE)
    assert {name for name in dir(solvq.vector) if name.startswith(("soft_", "project_"))} == set(
        named
    )


def test_checkpoint_docs_run_and_their_reader_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "checkpoint.md").read_text("utf-8")
    scope: dict[str, Any] = {}
    for block in blocks("python", text):
        exec(block, scope)
    assert len(scope["restored"]) == 3
    for name, array in scope["restored"].items():
        np.testing.assert_array_equal(scope["read"](name), array)
    assert 0 < scope["error"] < 0.1
    rules = re.findall(r"^\| `([^`]+)` \| ([\d.]+) \|$", text, re.MULTILINE)
    assert tuple(rules) == RULES


def test_contributing_shows_the_real_file() -> None:
    (shown,) = blocks("python", (ROOT / "CONTRIBUTING.md").read_text())
    real = (ROOT / "src/solvq/scalar/_uniform.py").read_text()
    for line in shown.splitlines():
        if line.strip().startswith(("centres", "return", "self.", "class", "from solvq")):
            assert line in real, line


def test_train_docs_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("torch", "skimage"):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {}
    for block in blocks("python", (ROOT / "docs" / "train.md").read_text("utf-8")):
        exec(block, scope)
    assert scope["last"]["step"] == 4  # type: ignore[index]
    assert not scope["model"].training  # type: ignore[attr-defined]
