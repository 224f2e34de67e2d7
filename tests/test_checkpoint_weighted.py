"""Compression under weights of the errors: they count, they fit, and they are proved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoints import write
from numpy.typing import NDArray

from solvq import checkpoint
from solvq.checkpoint import FormatError

Data = dict[str, NDArray[Any]]
RNG = np.random.default_rng(0)
DATA: Data = {
    "a": RNG.standard_normal((40, 48)).astype("f4"),
    "b": RNG.standard_normal((48, 40)).astype("f4"),
    "c": RNG.standard_normal((40, 40)).astype("f2"),
    "bias": RNG.standard_normal(48).astype("f4"),
}
WEIGHTS: Data = {
    "a": (RNG.standard_normal((40, 48)) ** 4).astype("f4"),
    "b": 4.0 ** RNG.integers(-4, 4, (1, 40)),
}


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A model and weights of most of it."""
    model = write(tmp_path / "m.safetensors", DATA)
    return model, write(tmp_path / "w.safetensors", WEIGHTS)


def weighted(small: Path) -> dict[str, tuple[float, float]]:
    """Weighted sums of squared errors and of squares, of what is read back."""
    restored, found = checkpoint.load(small), {}
    for name in ("a", "b", "c"):
        x = DATA[name].astype(np.float64)
        w = np.broadcast_to(WEIGHTS.get(name, np.ones(())), x.shape)
        w = np.maximum(w, 1e-6 * w.mean())
        error = (w * (x - restored[name].astype(np.float64)) ** 2).sum()
        found[name] = float(error), float((w * x**2).sum())
    return found


@pytest.mark.parametrize(
    "options",
    [
        {"n_values": 8},
        {"n_values": 8, "layout": "row"},
        {"n_values": 8, "scale": "row"},
        {"n_values": 8, "layout": "block:8x16"},
        {"avg_bits": 3.3},
        {"avg_bits": 3.3, "entropy": True},
        {"size": 4100},
    ],
    ids=str,
)
def test_weighted_errors_are_lower(
    files: tuple[Path, Path], tmp_path: Path, options: dict[str, Any]
) -> None:
    """Figures are weighted, below those without weights, and proved again with them."""
    model, weights = files
    plain, given = tmp_path / "plain.safetensors", tmp_path / "given.safetensors"
    checkpoint.compress(model, plain, **options)
    report = checkpoint.compress(model, given, importance=weights, **options)
    without, found = weighted(plain), weighted(given)
    assert sum(e for e, _ in found.values()) < 0.99 * sum(e for e, _ in without.values())
    for told in report.compressed:
        error, energy = found[told.name]
        assert told.energy == pytest.approx(energy, rel=1e-6)
        assert told.relative_error * told.energy == pytest.approx(error, rel=1e-6)
        assert told.lower_bound <= told.relative_error
    proved = checkpoint.inspect(given, original=model, importance=weights)
    for one, two in zip(proved.compressed, report.compressed, strict=True):
        assert one.relative_error == pytest.approx(two.relative_error, rel=1e-9)
        assert one.energy == pytest.approx(two.energy, rel=1e-9)
        assert one.lower_bound == pytest.approx(two.lower_bound, rel=1e-4)
    plainly = checkpoint.inspect(given, original=model)
    assert plainly.relative_error != pytest.approx(report.relative_error, rel=1e-3)


def test_a_plan_minimises_the_weighted_loss(files: tuple[Path, Path], tmp_path: Path) -> None:
    """Its loss is the sum of weighted squared errors, with the mean weight where none is given."""
    out = tmp_path / "s.safetensors"
    report = checkpoint.compress(
        files[0], out, importance=files[1], avg_bits=4.0, layout="tensor", values="same"
    )
    usual = np.mean([WEIGHTS[name].mean() for name in WEIGHTS])
    total = sum(e if name in WEIGHTS else e * usual for name, (e, _) in weighted(out).items())
    assert report.plan["loss"] == pytest.approx(total, rel=1e-3)
    assert report.plan["bound"] <= total


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"a": np.ones((40, 47))}, r"'a' has shape \(40, 47\), which does not broadcast"),
        ({"z": np.ones((40, 48))}, "'z'; rename or remove"),
        ({"a": -np.ones((40, 48))}, "'a' has negative entries"),
        ({"a": np.full((40, 48), np.nan)}, "'a' has NaN"),
        ({"a": np.zeros((40, 48))}, "'a' is zero everywhere"),
        ({"a:hessian": np.eye(40)}, r"'a:hessian' has shape \(40, 40\)"),
    ],
)
@pytest.mark.parametrize("budget", [{}, {"avg_bits": 4.0}])
def test_weights_that_do_not_fit(
    files: tuple[Path, Path], tmp_path: Path, given: Data, words: str, budget: dict[str, float]
) -> None:
    """Refused in one line that names file and entry; nothing is written."""
    bad = write(tmp_path / "bad.safetensors", given)
    with pytest.raises(FormatError, match=words) as caught:
        checkpoint.compress(files[0], tmp_path / "out.safetensors", importance=bad, **budget)
    assert "bad.safetensors" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("*out*"))


def test_moments_and_biases(files: tuple[Path, Path], tmp_path: Path) -> None:
    """With second moments outputs are closer by feedback; the corrected bias is told as such."""
    inputs = RNG.standard_normal((400, 48)) @ RNG.standard_normal((48, 48)) + 1.0
    moments = {"a:hessian": inputs.T @ inputs / 400, "a:mean": inputs.mean(0)}
    data = {"a.weight": DATA["a"], "a.bias": np.zeros(40, "f4")}
    given = {f"a.weight:{key[2:]}": value for key, value in moments.items()}
    model = write(tmp_path / "n.safetensors", data)
    weights = write(tmp_path / "h.safetensors", given)
    outputs = []
    for feedback in (False, True):
        out = tmp_path / f"{feedback}.safetensors"
        report = checkpoint.compress(
            model, out, importance=weights, feedback=feedback, correct_bias=True, n_values=8
        )
        told = {t.name: t for t in report.tensors}
        restored = checkpoint.load(out)
        error = (inputs @ (restored["a.weight"] - data["a.weight"]).T.astype(float)) ** 2
        energy = (inputs @ data["a.weight"].T.astype(float)) ** 2
        outputs.append(told["a.weight"].output_error)
        assert outputs[-1] == pytest.approx(error.sum() / energy.sum(), rel=1e-3)
        assert told["a.bias"].kept_because.endswith("corrected")
        shift = (inputs @ (data["a.weight"] - restored["a.weight"]).T).mean(0)
        np.testing.assert_allclose(restored["a.bias"], shift, rtol=1e-3, atol=1e-4)
        checkpoint.inspect(out, original=model, importance=weights)
    assert outputs[1] < 0.8 * outputs[0]
