"""What the package promises about its classes, names and imports."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

import solvq
import solvq.scalar
from solvq.scalar import METHODS, ScalarQuantizer

every = pytest.mark.parametrize("kind", METHODS.values(), ids=list(METHODS))


def documented(kind: type[Any]) -> dict[str, str]:
    """Parameters of the numpydoc section of a class: name to type."""
    text = inspect.cleandoc(kind.__doc__ or "")
    section = re.search(r"^Parameters\n-+\n(.*?)(?:\n\n\S[^\n]*\n-+\n|\Z)", text, re.S | re.M)
    entries = re.findall(r"^(\w.*?) : (.+)$", section[1] if section else "", re.M)
    return {name: kind_ for names, kind_ in entries for name in names.split(", ")}


def quantizers() -> set[type[ScalarQuantizer]]:
    """Every subclass of the base in the package, whether in the table or not."""
    for module in pkgutil.walk_packages(solvq.scalar.__path__, "solvq.scalar."):
        importlib.import_module(module.name)
    found: set[type[ScalarQuantizer]] = set()
    open_ = [ScalarQuantizer]
    while open_:
        new = {c for c in open_.pop().__subclasses__() if c.__module__.startswith("solvq.")}
        found |= new
        open_.extend(new)
    return found


def run_python(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@parametrize_with_checks([kind() for kind in METHODS.values()])
def test_scikit_learn(estimator: Any, check: Any) -> None:
    """scikit-learn's own checks, in full."""
    check(estimator)


@every
def test_constructor_only_stores(kind: Any) -> None:
    """Any value, however wrong, is kept as the same object and checked in ``fit``."""
    given = {name: object() for name in inspect.signature(kind).parameters}
    model = kind(**given)
    assert vars(model) == given
    with pytest.raises((TypeError, ValueError), match="n_values"):
        model.fit(np.zeros((2, 1)))


@every
def test_clone_and_parameters(kind: Any) -> None:
    """Parameters survive ``clone`` and ``set_params``; learned state does not."""
    model = kind(n_values=3).fit(np.arange(10.0)[:, None])
    copy = clone(model)
    assert copy.get_params() == model.get_params()
    assert not hasattr(copy, "codebook_")
    assert copy.set_params(n_values=5).n_values == 5
    assert list(model.get_params()) == sorted(inspect.signature(kind).parameters)


@every
def test_parameters_are_documented(kind: Any) -> None:
    """The documented parameters are those of the signature, in order, defaults included."""
    signature = inspect.signature(kind).parameters
    section = documented(kind)
    assert list(section) == list(signature)
    for name, parameter in signature.items():
        default = section[name].partition("default ")[2]
        assert ast.literal_eval(default) == parameter.default


@every
def test_docstring_states_the_method(kind: Any) -> None:
    """A summary line, then what is solved, before the parameters."""
    text = inspect.cleandoc(vars(kind)["__doc__"])
    summary, _, rest = text.partition("\n\n")
    assert summary.endswith(".")
    assert "\n" not in summary
    assert len(rest.partition("Parameters\n")[0].split()) >= 10


def test_classes_are_abstract_or_final() -> None:
    """The base cannot be made; the table lists every quantizer, and nobody inherits from one."""
    assert inspect.isabstract(ScalarQuantizer)
    with pytest.raises(TypeError, match="abstract"):
        ScalarQuantizer()
    concrete = {kind for kind in quantizers() if not inspect.isabstract(kind)}
    assert concrete == set(METHODS.values())
    for kind in concrete:
        assert not [c for c in kind.__subclasses__() if c.__module__.startswith("solvq.")]
        assert kind.__name__.endswith("Quantizer")
        assert kind.__name__ in solvq.scalar.__all__


def test_default_method_and_counts() -> None:
    """All quantizers share the name and default of the count, and the first is the optimum."""
    assert next(iter(METHODS)) == "optimal"
    for kind in METHODS.values():
        assert inspect.signature(kind).parameters["n_values"].default == 16


@pytest.mark.parametrize("module", ["solvq", "solvq.scalar"])
def test_public_names_import(module: str) -> None:
    """``__all__`` is sorted, complete and importable in a fresh interpreter; ``dir`` shows it."""
    names = importlib.import_module(module).__all__
    assert len(set(names)) == len(names)
    code = f"from {module} import *; print(set({names}) - set(globals()))"
    assert run_python(code) == "set()"
    assert set(names) <= set(dir(importlib.import_module(module)))


def test_unknown_name() -> None:
    """A name that does not exist is an AttributeError as in any module."""
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = solvq.nothing


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("solvq", ["numpy", "numba", "sklearn", "torch", "scipy", "typer"]),
        ("solvq.code", ["numba", "sklearn", "torch", "typer"]),
        ("solvq.scalar", ["torch", "typer"]),
    ],
)
def test_imports_nothing_heavy(module: str, forbidden: list[str]) -> None:
    """Importing a room loads no library that it does not need."""
    code = f"import sys, {module}; print([n for n in {forbidden} if n in sys.modules])"
    assert run_python(code) == "[]"
