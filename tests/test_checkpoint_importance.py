"""Files that say how much weights matter: what is read, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file
from typer.testing import CliRunner

from solvq.checkpoint import compress
from solvq.checkpoint._importance import Importance
from solvq.cli import app
from solvq.files import FormatError

RNG = np.random.default_rng(0)


def opened(folder: Path, **entries: NDArray[Any]) -> Importance:
    """Importance of a file of some entries; ``__`` in a name stands for a colon."""
    path = folder / "weights.safetensors"
    save_file({name.replace("__", ":"): np.asarray(a) for name, a in entries.items()}, path)
    return Importance(path)


@pytest.mark.parametrize("shape", [(3, 4, 2), (4, 2), (3, 1, 1), (1,), ()])
def test_weights_broadcast_to_the_tensor(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """An entry weighs every element, as NumPy broadcasts it."""
    given = RNG.uniform(0.5, 1.0, shape).astype(np.float32)
    found = opened(tmp_path, w=given).weights("w", (3, 4, 2))
    assert found is not None
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, np.broadcast_to(given, (3, 4, 2)))


@pytest.mark.parametrize("dtype", [np.int64, np.float16, ml_dtypes.bfloat16, np.float64])
def test_every_real_dtype(tmp_path: Path, dtype: Any) -> None:
    """Counts and rounded weights are weights, too."""
    given = np.array([[1, 2, 4]], dtype)
    found = opened(tmp_path, w=given).weights("w", (2, 3))
    np.testing.assert_array_equal(found, [[1.0, 2.0, 4.0]] * 2)


@pytest.mark.parametrize("scale", [1.0, 1e-300, 1e307])
def test_unseen_weights_keep_a_little(tmp_path: Path, scale: float) -> None:
    """A row of zeros gets a millionth of the mean."""
    given = np.array([[0.0, 0.0], [1.0, 3.0]]) * scale
    found = opened(tmp_path, w=given).weights("w", (2, 2))
    assert found is not None
    np.testing.assert_allclose(found, np.array([[1e-6, 1e-6], [1.0, 3.0]]) * scale, rtol=1e-9)


def test_npz_and_missing_entries(tmp_path: Path) -> None:
    """NumPy archives work; a tensor without an entry has no weights."""
    np.savez(tmp_path / "weights.npz", **{"a.b": np.ones((2, 3)), "a.b:mean": np.arange(3.0)})
    found = Importance(tmp_path / "weights.npz")
    found.check(["a.b", "other"])
    assert found.weights("other", (2, 3)) is None
    assert found.hessian("a.b", 3) is None
    assert found.mean("other", 3) is None
    np.testing.assert_array_equal(found.mean("a.b", 3), [0.0, 1.0, 2.0])
    assert found.weights("a.b", (0, 3)) is None


def test_hessian_is_made_symmetric(tmp_path: Path) -> None:
    """Second moments in half precision come back symmetric."""
    x = RNG.standard_normal((40, 5))
    given = (x.T @ x / 40).astype(np.float16)
    given[0, 1] = np.nextafter(given[0, 1], np.float16(9))
    found = opened(tmp_path, w__hessian=given).hessian("w", 5)
    assert found is not None
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_allclose(found, x.T @ x / 40, atol=2e-3)


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        (np.ones((2, 4)), r"'w' has shape \(2, 4\), .* \(2, 3\)"),
        (np.ones((1, 2, 3)), r"\(1, 2, 3\), .* \(2, 3\)"),
        (np.zeros((2, 3)), "zero everywhere"),
        (np.array([1.0, -1.0, 1.0]), "negative"),
        (np.array([1.0, np.nan, 1.0]), "NaN"),
        (np.array([1.0, np.inf, 1.0]), "NaN or infinite"),
        (np.ones((0, 3)), "empty"),
        (np.ones((2, 3), bool), "dtype BOOL"),
        (np.ones((2, 3), np.complex64), "dtype C64"),
    ],
)
def test_bad_weights_are_refused(tmp_path: Path, given: NDArray[Any], fault: str) -> None:
    """One line that names the file, the entry and what is wrong."""
    with pytest.raises(FormatError, match=fault) as caught:
        opened(tmp_path, w=given).weights("w", (2, 3))
    assert "weights.safetensors: 'w'" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        (np.eye(4), r"\(4, 4\); .* \(3, 3\)"),
        (np.ones(3), r"\(3,\); .* \(3, 3\)"),
        (np.zeros((3, 3)), "zero diagonal"),
        (-np.eye(3), "negative"),
        (np.eye(3) + np.diag([2.0, 0.0], 1) + np.diag([2.0, 0.0], -1), "above"),
        (np.eye(3) + np.diag([0.5, 0.0], 1), "symmetric"),
        (np.full((3, 3), np.nan), "NaN"),
    ],
)
def test_bad_hessians_are_refused(tmp_path: Path, given: NDArray[Any], fault: str) -> None:
    """What cannot be second moments is not taken for them."""
    with pytest.raises(FormatError, match=fault) as caught:
        opened(tmp_path, w__hessian=given).hessian("w", 3)
    assert "weights.safetensors: 'w:hessian'" in str(caught.value)


def test_bad_means_are_refused(tmp_path: Path) -> None:
    """Means must fit the columns and be finite."""
    with pytest.raises(FormatError, match=r"'w:mean' has shape \(2,\); .* \(3,\)"):
        opened(tmp_path, w__mean=np.ones(2)).mean("w", 3)
    with pytest.raises(FormatError, match="NaN"):
        opened(tmp_path, w__mean=np.array([1.0, np.nan, 0.0])).mean("w", 3)


@pytest.mark.parametrize(
    ("setting", "ending"), [("feedback", ":hessian"), ("correct_bias", ":mean")]
)
def test_what_moments_are_for_needs_them(tmp_path: Path, setting: str, ending: str) -> None:
    """Weights alone do not give feedback or bias correction: that is said, and nothing written."""
    weights, model, out = tmp_path / "weights.safetensors", tmp_path / "m.npz", tmp_path / "out"
    opened(tmp_path, w=np.ones((1, 4)))
    np.savez(model, w=np.ones((3, 4)))
    with pytest.raises(ValueError, match=f"{setting} needs entries NAME{ending}"):
        compress(model, out, importance=weights, **{setting: True})
    assert not out.exists()


def test_errors_are_proved_with_their_weights(tmp_path: Path) -> None:
    """What was weighted is proved again with the same weights, and only so."""
    weights, model, out = tmp_path / "weights.safetensors", tmp_path / "m.npz", tmp_path / "out"
    values = RNG.standard_normal((32, 40))
    opened(tmp_path, w=values**4)
    np.savez(model, w=values)
    written = compress(model, out, importance=weights, n_values=8)
    arguments = ["inspect", str(out), "--certify", str(model), "--json"]
    plain = CliRunner().invoke(app, arguments)
    proved = CliRunner().invoke(app, [*arguments, "--importance", str(weights)])
    assert json.loads(proved.stdout)["relative_error"] == pytest.approx(written.relative_error)
    assert json.loads(plain.stdout)["relative_error"] > 1.1 * written.relative_error
    alone = CliRunner().invoke(app, ["inspect", str(out), "--importance", str(weights)])
    assert (alone.exit_code, "give both" in alone.stderr) == (2, True)


def test_entries_of_another_model_are_refused(tmp_path: Path) -> None:
    """The first entry that is about no tensor is named, with how many there are."""
    found = opened(tmp_path, a=np.ones(2), a__hessian=np.eye(2), b__mean=np.ones(2))
    found.check(["a", "b"])
    found.check(["a", "b:mean"])
    with pytest.raises(FormatError, match=r"1 of 3 entries .* first is 'b:mean'"):
        found.check(["a"])


def test_files_that_are_no_importance(tmp_path: Path) -> None:
    """Missing, empty, cut short, and of another kind."""
    with pytest.raises(FileNotFoundError):
        Importance(tmp_path / "none.safetensors")
    with pytest.raises(FormatError, match="no weights"):
        opened(tmp_path)
    opened(tmp_path, w=np.ones(100))
    path = tmp_path / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(FormatError, match=r"weights\.safetensors"):
        Importance(path)
    (tmp_path / "weights.txt").write_text("1 2 3")
    with pytest.raises(FormatError):
        Importance(tmp_path / "weights.txt")
