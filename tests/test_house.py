"""House rules that a program can check."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
FILES = sorted(SOURCE.rglob("*.py"))
VAGUE = {"util", "utils", "helper", "helpers", "manager", "managers", "common", "misc"}
Function = ast.FunctionDef | ast.AsyncFunctionDef

every_file = pytest.mark.parametrize("path", FILES, ids=[str(f.relative_to(SOURCE)) for f in FILES])


def functions(path: Path) -> list[Function]:
    """Every function and method of a file, nested ones too."""
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, Function)]


def body_lines(function: Function) -> int:
    """Lines of a body without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


def arguments(function: Function) -> list[str]:
    """Names of all arguments but self and cls."""
    given = function.args
    several = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    several += [extra for extra in (given.vararg, given.kwarg) if extra is not None]
    return [one.arg for one in several if one.arg not in ("self", "cls")]


def is_kernel(function: Function) -> bool:
    """Whether a function is compiled by the house's decorator."""
    return any(isinstance(d, ast.Name) and d.id == "kernel" for d in function.decorator_list)


def test_there_is_source() -> None:
    """The rules below look at something."""
    assert SOURCE / "solvq" / "code.py" in FILES


@every_file
def test_file_length_and_name(path: Path) -> None:
    """Files have at most 300 lines and a name that says what is in them."""
    assert len(path.read_text().splitlines()) <= 300
    assert path.stem.strip("_") not in VAGUE


@every_file
def test_function_length_and_arguments(path: Path) -> None:
    """Functions have at most 40 lines and 8 arguments, kernels 6 arguments."""
    for function in functions(path):
        place = f"{path.name}:{function.lineno} {function.name}"
        assert body_lines(function) <= 40, place
        assert len(arguments(function)) <= (6 if is_kernel(function) else 8), place


@every_file
def test_no_assert_in_source(path: Path) -> None:
    """Validation raises; asserts vanish under ``python -O``."""
    tree = ast.parse(path.read_text())
    assert [n.lineno for n in ast.walk(tree) if isinstance(n, ast.Assert)] == []


@every_file
def test_everything_is_documented(path: Path) -> None:
    """Modules, public classes and functions that are not nested or private have docstrings."""
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), path.name
    for node in tree.body:
        if isinstance(node, ast.ClassDef | Function) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{path.name}:{node.lineno} {node.name}"
