"""Budgets: real files keep to them, impossible ones say what is possible, plans are honest."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from checkpoints import tensors, write
from numpy.typing import NDArray

from solvq import checkpoint
from solvq.checkpoint.budget._planner import SHARE

Data = dict[str, NDArray[Any]]
EXACT = {"layout": "tensor", "values": "same"}


def uneven() -> Data:
    """Matrices of one size whose distributions and magnitudes differ."""
    rng = np.random.default_rng(1)
    shapes = {"a": 1.0, "b": 1e-3, "c": 30.0}
    data: Data = {k: (s * rng.standard_normal((32, 48))).astype("f4") for k, s in shapes.items()}
    data["tails"] = rng.standard_t(3, (40, 40)).astype("f4")
    data["rows"] = (rng.standard_normal((40, 40)) * 4.0 ** rng.integers(-3, 3, (40, 1))).astype(
        "f4"
    )
    return data


def mixed() -> Data:
    """Dtypes, kept tensors, equal and few values."""
    rng = np.random.default_rng(2)
    data = tensors() | {"few": rng.integers(0, 5, (40, 40)).astype("f4")}
    data["brain"] = rng.standard_normal((40, 3, 5, 5)).astype(ml_dtypes.bfloat16)
    return data


def single() -> Data:
    """One tensor: all steps of the budget are large."""
    return {"w": np.random.default_rng(3).standard_normal((64, 64)).astype("f4")}


MODELS = {"uneven": uneven, "mixed": mixed, "single": single}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A file of each model."""
    folder = tmp_path_factory.mktemp("models")
    return {name: write(folder / f"{name}.safetensors", make()) for name, make in MODELS.items()}


def smallest(model: Path, **settings: Any) -> int:
    """Size that the message about an impossible budget names."""
    with pytest.raises(ValueError, match="the smallest file") as caught:
        checkpoint.plan(model, size=10, **settings)
    assert "\n" not in str(caught.value)
    return named(str(caught.value))


def named(message: str) -> int:
    """Size that a message says can be had."""
    found = re.search(r"has (\d+) bytes;", message)
    assert found is not None
    return int(found[1])


def errors(model: Path, small: Path) -> dict[str, tuple[float, float]]:
    """Sum of squared errors and of squares of each tensor, of what is read back."""
    restored, found = checkpoint.load(small), {}
    for name, x in checkpoint_of(model).items():
        wide = x.astype(np.float64)
        found[name] = (
            float(((wide - restored[name].astype(np.float64)) ** 2).sum()),
            float((wide**2).sum()),
        )
    return found


def checkpoint_of(model: Path) -> Data:
    """What a model was made of."""
    return MODELS[model.stem]()


@pytest.mark.parametrize("entropy", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_no_file_is_larger_than_its_budget(
    models: dict[str, Path], tmp_path: Path, name: str, entropy: bool
) -> None:
    """From the smallest possible to more than enough, with ever smaller errors."""
    model, out = models[name], tmp_path / "out.safetensors"
    least, before = smallest(model, entropy=entropy), model.stat().st_size
    error = np.inf
    for share in (0.2, 0.3, 0.5, 1.5):
        size = int(max(share * before, 1.3 * least))
        report = checkpoint.compress(model, out, size=size, entropy=entropy, force=True)
        assert out.stat().st_size == report.nbytes_after <= size
        assert report.relative_error <= error * 1.01
        error = report.relative_error
    assert error < 1e-4


@pytest.mark.parametrize("entropy", [False, True])
def test_a_larger_budget_than_needed(
    models: dict[str, Path], tmp_path: Path, entropy: bool
) -> None:
    """Nothing is wasted on it: no file is larger than the original."""
    model = models["uneven"]
    report = checkpoint.compress(model, tmp_path / "out.safetensors", size=10**9, entropy=entropy)
    assert report.nbytes_after < model.stat().st_size
    assert report.relative_error < 1e-4


def test_ratio(models: dict[str, Path], tmp_path: Path) -> None:
    """At least so many times smaller, and nearly that."""
    for ratio in (4.0, 5.5):
        out = tmp_path / f"{ratio}.safetensors"
        report = checkpoint.compress(models["uneven"], out, ratio=ratio)
        assert ratio <= models["uneven"].stat().st_size / out.stat().st_size < 1.05 * ratio
        assert report.ratio >= ratio


@pytest.mark.parametrize("entropy", [False, True])
def test_average_bits(models: dict[str, Path], tmp_path: Path, entropy: bool) -> None:
    """Tables and scales count; kept tensors do not."""
    for bits in (3.3, 4.5):
        report = checkpoint.compress(
            models["mixed"],
            tmp_path / "out.safetensors",
            avg_bits=bits,
            entropy=entropy,
            force=True,
        )
        weights = sum(np.prod(t.shape) for t in report.compressed)
        found = 8 * sum(t.nbytes_after for t in report.compressed) / weights
        assert 0.9 * bits < found <= bits
        assert found == pytest.approx(report.bits_per_weight)


@pytest.mark.parametrize("entropy", [False, True])
def test_errors_in_total_and_of_each(
    models: dict[str, Path], tmp_path: Path, entropy: bool
) -> None:
    """Measured on what is read back, against the original."""
    model, out = models["uneven"], tmp_path / "out.safetensors"
    sizes = []
    for limit in (0.03, 0.002):
        checkpoint.compress(model, out, max_error=limit, entropy=entropy, force=True)
        found = np.array(list(errors(model, out).values()))
        total = found[:, 0].sum() / found[:, 1].sum()
        assert 0.8 * limit < total <= limit * (1 + 1e-9)
        sizes.append(out.stat().st_size)
        checkpoint.compress(model, out, max_tensor_error=limit, entropy=entropy, force=True)
        found = np.array(list(errors(model, out).values()))
        assert (found[:, 0] <= found[:, 1] * limit * (1 + 1e-9)).all()
        sizes.append(out.stat().st_size)
    assert sizes[0] <= sizes[1]  # the same in total is easier than of each
    assert sizes[2] <= sizes[3]


@pytest.mark.parametrize("entropy", [False, True])
def test_impossible_sizes_name_the_smallest(
    models: dict[str, Path], tmp_path: Path, entropy: bool
) -> None:
    """That size can be had, coded when files that were tried have told; nothing else is left."""
    for name, model in models.items():
        out = tmp_path / f"{name}.safetensors"
        with pytest.raises(ValueError, match="smallest file"):
            checkpoint.compress(model, out, ratio=1e6, entropy=entropy)
        size = smallest(model, entropy=entropy)
        for _ in range(3 if entropy else 0):
            try:
                checkpoint.compress(model, out, size=size, entropy=entropy)
                break
            except ValueError as error:
                size = max(size + 1, named(str(error)))
        assert list(tmp_path.glob(f"*{name}*.part")) == []
        report = checkpoint.compress(model, out, size=size, entropy=entropy, force=True)
        assert report.nbytes_after == out.stat().st_size <= size


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        ({"avg_bits": 0.2}, r"avg_bits is 0\.2; the least .* is \d\.\d+"),
        ({"max_error": 1e-30}, "needs more than 256 values a table for"),
        ({"max_tensor_error": 1e-30}, "needs more than 256 values a table for"),
    ],
)
def test_other_impossible_budgets(
    models: dict[str, Path], tmp_path: Path, budget: dict[str, float], words: str
) -> None:
    """One line that names the limit; tensors of zeros do no harm."""
    for name, model in models.items():
        with pytest.raises(ValueError, match=words) as caught:
            checkpoint.compress(model, tmp_path / f"{name}.safetensors", **budget)
        assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"size": 1000, "ratio": 3.0}, "size and ratio exclude each other"),
        ({"size": 0}, "size is 0"),
        ({"ratio": -1.0}, r"ratio is -1\.0"),
        ({"avg_bits": float("nan")}, "avg_bits is nan"),
        ({"max_error": float("inf")}, "max_error is inf"),
        ({"max_error": "much"}, "max_error is 'much'"),
        ({"size": 1000, "n_values": 4}, "n_values is 4; a budget sets it"),
        ({"size": 1000, "lossless": True}, "lossless is exact"),
        ({"layout": "auto"}, "needs a budget"),
        ({"size": 1000, "layout": "auto", "scale": "row"}, "chooses the scales too"),
        ({"size": 1000, "entropy": True, "layout": "row"}, "entropy coding has a table per"),
    ],
)
def test_budgets_that_mean_nothing(
    models: dict[str, Path], tmp_path: Path, settings: dict[str, Any], words: str
) -> None:
    """Refused before anything is read."""
    with pytest.raises(ValueError, match=words):
        checkpoint.compress(models["single"], tmp_path / "out.safetensors", **settings)
    assert list(tmp_path.iterdir()) == []


def test_a_plan_needs_a_budget(models: dict[str, Path]) -> None:
    """Without one there is nothing to plan."""
    with pytest.raises(ValueError, match="no budget to plan for"):
        checkpoint.plan(models["single"])


@pytest.mark.parametrize(
    "budget",
    [
        {"ratio": 6.0},
        {"avg_bits": 3.5, "entropy": True},
        {"max_error": 0.01},
        {"max_tensor_error": 0.01, "layout": "row"},
    ],
)
def test_a_plan_is_what_comes(
    models: dict[str, Path], tmp_path: Path, budget: dict[str, Any]
) -> None:
    """Size, error and loss of a dry run are near those of the file; the bound is below."""
    model = models["uneven"]
    planned = checkpoint.plan(model, **budget)
    assert list(tmp_path.iterdir()) == []
    report = checkpoint.compress(model, tmp_path / "out.safetensors", **budget)
    assert planned.nbytes_after == pytest.approx(
        report.nbytes_after, rel=0.03, abs=200 * len(report.compressed)
    )
    assert [t.kept_because for t in planned.tensors] == [t.kept_because for t in report.tensors]
    for one in (planned, report):
        assert one.plan["bound"] <= one.plan["loss"]
    if "entropy" not in budget:
        assert planned.relative_error == pytest.approx(report.relative_error, rel=0.1)
        assert planned.plan["loss"] == pytest.approx(report.plan["loss"], rel=0.03)


@pytest.mark.parametrize("values", ["same", "auto"])
def test_the_loss_of_a_plan_is_what_is_measured(
    models: dict[str, Path], tmp_path: Path, values: str
) -> None:
    """Curves of a table per tensor are exact; the loss is a sum of relative errors."""
    model, out = models["uneven"], tmp_path / "out.safetensors"
    report = checkpoint.compress(model, out, avg_bits=4.0, layout="tensor", values=values)
    data = checkpoint_of(model)
    loss = sum(
        data[name].size ** SHARE * error / energy
        for name, (error, energy) in errors(model, out).items()
    )
    assert report.plan["loss"] == pytest.approx(loss, rel=1e-3)
    assert report.plan["bound"] <= loss


def test_a_limited_error_plans_bytes(models: dict[str, Path], tmp_path: Path) -> None:
    """The loss of such a plan are the bytes of the tensors."""
    report = checkpoint.compress(
        models["uneven"], tmp_path / "out.safetensors", max_error=0.01, **EXACT
    )
    assert report.plan["loss"] == sum(t.nbytes_after for t in report.compressed)
    assert 0 < report.plan["bound"] <= report.plan["loss"]


def test_bits_go_where_they_save_most(models: dict[str, Path], tmp_path: Path) -> None:
    """A budget beats the same bits for every tensor, and auto beats one layout."""
    model, out = models["uneven"], tmp_path / "out.safetensors"
    flat = checkpoint.compress(model, out, n_values=16)

    def loss(report: checkpoint.Report) -> float:
        """What plans minimise."""
        return sum(math.prod(t.shape) ** SHARE * t.relative_error for t in report.tensors)

    losses = [loss(flat)]
    for layout in ("tensor", "auto"):
        report = checkpoint.compress(
            model, out, size=flat.nbytes_after + 400, layout=layout, force=True
        )
        losses.append(loss(report))
    assert losses[1] <= losses[0]
    assert losses[2] <= losses[1]
    assert report.plan["bound"] <= losses[2]


def test_sizes_as_people_write_them() -> None:
    """Decimal and binary units; anything else is refused with what is allowed."""
    sizes = {"12": 12, "12MB": 12 * 10**6, "1.5MiB": 3 << 19, " 2 kB ": 2000, ".5GiB": 1 << 29}
    assert {text: checkpoint.parse_size(text) for text in sizes} == sizes
    for text in ("", "MB", "-1MB", "1e6", "12 parsecs", "1.2.3MB", "inf"):
        with pytest.raises(ValueError, match="give bytes, as 12MB"):
            checkpoint.parse_size(text)
