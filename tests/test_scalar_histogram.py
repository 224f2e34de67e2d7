"""Histograms: what they prove is true, and does not depend on how the data came."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import brute_force, distinct, nearest, rounding
from safetensors import safe_open
from safetensors.numpy import save_file
from strategies import FAMILIES, numbers

import solvq
from solvq.files import FormatError
from solvq.scalar import Histogram
from solvq.scalar._bins import ROOT, edges, keys_to_values
from solvq.scalar._bracket import moments

SLACK = 1e-9  # of a relative bound: the data's own rounding


def fed(*chunks: Any, into: Histogram | None = None, weights: Any = None) -> Histogram:
    """Histogram of some chunks."""
    histogram = Histogram() if into is None else into
    for i, chunk in enumerate(chunks):
        histogram.update(chunk, None if weights is None else weights[i])
    return histogram


def true_loss(x: Any, codebook: Any, weight: Any = None) -> float:
    """Weighted mean of squared errors of the data at a codebook."""
    flat = np.asarray(x).astype(np.float64).ravel()
    error = (flat - codebook[nearest(flat, codebook)]) ** 2
    return float(np.average(error, weights=weight))


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers, the same every time."""
    return np.random.default_rng(0)


# Bounds


@settings(max_examples=20)
@given(x=numbers(9), seed=st.integers(0, 999), k=st.integers(1, 4))
def test_bounds_hold_against_brute_force(x: Any, seed: int, k: int) -> None:
    weight = np.random.default_rng(seed).integers(1, 4, x.size).astype(float)
    values, weights = distinct(x, weight)
    k = min(k, values.size)
    least = brute_force(values, weights, k) / weights.sum()
    found = fed(x, weights=[weight]).solve(k)
    slack = SLACK * least + 8.0 * rounding(values, weights) / weights.sum()
    assert found.lower_bound <= least + slack
    assert found.distortion >= true_loss(x, found.codebook, weight) - slack
    assert found.distortion >= found.lower_bound
    assert found.codebook.size <= k


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("k", [1, 3, 16])
def test_bounds_hold_against_the_optimum(family: str, k: int, rng: np.random.Generator) -> None:
    x, w = FAMILIES[family](rng, 400)
    least = solvq.scalar.quantize_certified(x, k, sample_weight=w)[1]
    coarse = fed(x, weights=[w])
    fine = fed(x, into=coarse.refine(k), weights=[w])
    for histogram in (coarse, fine):
        found = histogram.solve(k)
        slack = SLACK * least.distortion + 8.0 * rounding(x, w) / w.sum()
        assert found.lower_bound <= least.distortion + slack
        assert found.distortion >= true_loss(x, found.codebook, w) - slack
        assert np.all(np.diff(found.codebook) > 0)
    assert found.gap <= 1e-6 or found.distortion <= 8.0 * rounding(x, w) / w.sum()


@pytest.mark.parametrize("k", [2, 16, 256])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_two_passes_reach_the_gap(k: int, offset: float, rng: np.random.Generator) -> None:
    x = rng.standard_normal(100_000) + offset
    coarse = fed(x)
    found = fed(x, into=coarse.refine(k)).solve(k)
    best = solvq.certificate(x, found.codebook)
    assert found.gap < 1e-6
    assert found.lower_bound <= best.distortion * (1 + SLACK)
    assert found.distortion >= best.distortion * (1 - SLACK)
    assert best.gap < 1e-6


def test_only_bins_around_boundaries_are_refined(rng: np.random.Generator) -> None:
    x = rng.standard_normal(200_000)
    coarse = fed(x)
    fine = coarse.refine(16)
    owners = fine._nodes[1:, 0].astype(np.int64)
    assert 15 <= owners.size < 0.05 * coarse._sums.bins().size
    left = edges(coarse._sums.tree, owners).left
    codebook = coarse.solve(16).codebook
    boundaries = 0.5 * (codebook[1:] + codebook[:-1])
    assert np.abs(left[:, None] - boundaries).min(axis=1).max() < 0.05


@pytest.mark.parametrize("dtype", ["f2", ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, "i1", "u2"])
def test_one_pass_is_exact_for_short_numbers(dtype: Any, rng: np.random.Generator) -> None:
    x = (20.0 * rng.standard_normal(3000)).clip(0 if dtype == "u2" else -120, 120).astype(dtype)
    found = fed(x[:1000], x[1000:]).solve(8)
    best = solvq.scalar.quantize_certified(x.astype(np.float64), 8)[1]
    assert found.gap < 1e-9
    assert found.distortion == pytest.approx(best.distortion, rel=1e-9)


@pytest.mark.parametrize("dtype", ["f4", "f8", "i2", "i4", "u4", "i8", ">f4"])
def test_dtypes_and_shapes(dtype: str, rng: np.random.Generator) -> None:
    x = (1000.0 * rng.random((30, 40))).astype(dtype)
    coarse = fed(x)
    found = fed(x.T, into=coarse.refine(5)).solve(5)
    best = solvq.scalar.quantize_certified(x.astype(np.float64), 5)[1]
    assert found.distortion == pytest.approx(best.distortion, rel=1e-6)
    assert coarse.size == x.size


def test_torch_tensors_are_read(rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch")
    x = torch.from_numpy(rng.standard_normal((10, 10))).to(torch.bfloat16)
    assert np.array_equal(fed(x).solve(4).codebook, fed(x.float().numpy()).solve(4).codebook)
    assert fed(x).size == 100


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e160, 1e300])
def test_extreme_scales(scale: float, rng: np.random.Generator) -> None:
    x = rng.standard_normal(500)
    found, plain = fed(scale * x).solve(3), fed(x).solve(3)
    assert np.allclose(found.codebook, scale * plain.codebook, rtol=1e-3)
    assert found.gap < 1e-2


def test_few_values_are_found_exactly() -> None:
    x = np.array([0.1, -0.7, 3.3, 0.1, 1e9 + 0.5])
    found = fed(x).solve(4)
    assert np.array_equal(found.codebook, np.unique(x))
    assert found[1:] == (0.0, 0.0, 0.0)
    assert fed(x).solve(9).codebook.size == 4
    assert fed([7, 7]).refine(2).size == 0


def test_both_zeros_are_one_value() -> None:
    found = fed(np.array([0.0, -0.0, 1.0, -1.0])).solve(3)
    assert np.array_equal(found.codebook, [-1.0, 0.0, 1.0])
    assert found.distortion == 0.0


# Any split, any order


@settings(max_examples=8)
@given(seed=st.integers(0, 999), k=st.integers(1, 9))
def test_any_split_and_order_gives_the_same_codebook(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(600).astype(np.float32)
    cuts = np.sort(rng.integers(0, 601, 5))
    other = [part for part in np.split(rng.permutation(x), cuts) if part.size]
    merged = Histogram()
    for part in other[::-1]:
        merged.merge(fed(part))
    whole = fed(x)
    assert merged.size == x.size
    for again in (fed(*other), merged):  # sums of few numbers, so rounding is all that differs
        assert np.allclose(whole._sums.rows, again._sums.rows, rtol=1e-9, atol=1e-15)
        found, same = again.solve(k), whole.solve(k)
        assert np.allclose(found.codebook, same.codebook, rtol=1e-9, atol=1e-12)


def test_any_split_of_doubles_gives_the_same_to_the_gap(rng: np.random.Generator) -> None:
    x, w = 1e3 + rng.standard_normal(50_000), rng.random(50_000)
    a = fed(x, weights=[w])
    order = rng.permutation(x.size)
    b = fed(*np.split(x[order], 50), weights=np.split(w[order], 50))
    found = [fed(x, into=h.refine(16), weights=[w]).solve(16) for h in (a, b)]
    losses = [true_loss(x, one.codebook, w) for one in found]
    assert max(one.gap for one in found) < 1e-6
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_second_pass_in_many_processes(tmp_path: Path, rng: np.random.Generator) -> None:
    x = rng.standard_normal(20_000)
    coarse = fed(x)
    coarse.refine(16).save(tmp_path / "bins")
    parts = []
    for i, part in enumerate(np.split(x, 4)):
        worker = fed(part, into=Histogram.load(tmp_path / "bins"))
        worker.save(tmp_path / f"part{i}")
        parts.append(Histogram.load(tmp_path / f"part{i}"))
    for part in parts[1:]:
        parts[0].merge(part)
    whole = fed(x, into=coarse.refine(16)).solve(16)
    found = parts[0].solve(16)
    assert found.gap < 1e-6
    assert np.allclose(found.codebook, whole.codebook, rtol=1e-9)


def test_bins_of_a_sample_still_prove(rng: np.random.Generator) -> None:
    x = rng.standard_normal(50_000)
    sampled = fed(x[:2000]).refine(8)
    found = fed(x, into=sampled).solve(8)  # numbers outside the finer bins stay in the coarse one
    best = solvq.certificate(x, found.codebook)
    assert found.lower_bound <= best.distortion * (1 + SLACK)
    assert found.distortion >= best.distortion * (1 - SLACK)
    assert found.gap < 1e-3
    again = fed(x, into=fed(x, into=fed(x).refine(8)).refine(8))
    assert again.solve(8).gap < 1e-6


def test_weights_are_copies(rng: np.random.Generator) -> None:
    x, w = rng.standard_normal(300), rng.integers(0, 4, 300)
    a, b = fed(x, weights=[w]), fed(np.repeat(x, w))
    assert np.allclose(a.solve(5).codebook, b.solve(5).codebook, rtol=1e-12)
    assert a.solve(5).distortion == pytest.approx(b.solve(5).distortion, rel=1e-9)
    short = x.astype(np.float16)
    assert fed(short, weights=[w]).solve(5).distortion == pytest.approx(
        fed(np.repeat(short, w)).solve(5).distortion, rel=1e-9
    )


def test_certificate_of_any_codebook(rng: np.random.Generator) -> None:
    x = rng.standard_normal(5000)
    table = rng.permutation(np.linspace(-2, 2, 8))
    found = fed(x, into=fed(x).refine(8)).certificate(table)
    true = solvq.certificate(x, table)
    assert true.distortion <= found.distortion * (1 + SLACK)
    assert found.distortion == pytest.approx(true.distortion, rel=1e-4)
    assert found.lower_bound == pytest.approx(true.lower_bound, rel=1e-5)


# Bins


@settings(max_examples=10)
@given(x=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=30))
def test_bins_keep_numbers_exactly(x: list[float]) -> None:
    for value in x:
        histogram = fed([value])
        found, _ = moments(histogram._sums)
        assert found.restore(found.low) == [value]
    ordered = np.sort(np.array(x) + 0.0)
    bits = ordered.view(np.uint64)
    sign = np.uint64(1 << 63)
    keys = np.where(bits & sign, ~bits, bits | sign)
    assert (np.diff(keys.astype(object)) >= 0).all()
    assert np.array_equal(keys_to_values(keys), ordered)


def test_sums_against_their_definition(rng: np.random.Generator) -> None:
    x, w = 1000.0 + rng.standard_normal(200), rng.random(200)
    sums = fed(x[:100]).refine(4)._sums
    assert len(sums.tree.base) > 1
    sums.add(x, w)
    bins = sums.bins()
    place = edges(sums.tree, bins)
    strays = ROOT[3]  # bins of the root that are refined keep what lies outside their node
    groups: dict[int, list[int]] = {}
    for i, value in enumerate(x):
        inside = (place.left <= value) & (value < place.left + place.width)
        finer = bins[inside & (bins >= strays)]
        groups.setdefault(int(finer[0] if finer.size else bins[inside][0]), []).append(i)
    assert sorted(groups) == bins.tolist()
    for b, row, left, width in zip(bins, sums.rows[bins], place.left, place.width, strict=True):
        weight, t = w[groups[b]], (x[groups[b]] - left) / width
        expected = weight.sum(), weight @ t, weight @ t**2, t.max(), 1.0 - t.min()
        assert np.allclose(row, expected, rtol=1e-12)


# Bad input


@pytest.mark.parametrize(
    ("chunk", "weight", "words"),
    [
        ([], None, "empty"),
        ([1.0, np.nan], None, "1 NaN or infinite"),
        (np.array([np.inf, 1.0], np.float16), None, "1 NaN or infinite"),
        ([True], None, "dtype bool"),
        ([1j], None, "dtype complex"),
        ([2**60], None, "2\\*\\*53"),
        ([1.0, 2.0], [1.0], "sample_weight has shape"),
        ([1.0, 2.0], [0.0], "sample_weight has shape"),
        ([1.0], [-1.0], "negative"),
        ([1.0], [np.nan], "negative or non-finite"),
    ],
)
def test_bad_chunks_change_nothing(chunk: Any, weight: Any, words: str) -> None:
    histogram = fed([1.0, 2.0])
    with pytest.raises((TypeError, ValueError), match=words):
        histogram.update(chunk, weight)
    assert histogram.size == 2
    assert np.array_equal(histogram.solve(2).codebook, [1.0, 2.0])


def test_chunks_without_weight_are_absent() -> None:
    histogram = fed([5.0, 6.0], weights=[[0.0, 0.0]])
    with pytest.raises(ValueError, match="empty; feed it"):
        histogram.solve(2)
    histogram.update([1.0, 9.0], [1.0, 0.0])
    assert np.array_equal(histogram.solve(2).codebook, [1.0])


@pytest.mark.parametrize("call", ["solve", "refine"])
def test_bad_arguments(call: str) -> None:
    histogram = fed([1.0, 2.0])
    for wrong, error in ((0, ValueError), (1.5, TypeError), (True, TypeError)):
        with pytest.raises(error, match="n_values is"):
            getattr(histogram, call)(wrong)
        with pytest.raises(ValueError, match="empty; feed it"):
            getattr(Histogram(), call)(2)
    with pytest.raises(ValueError, match="tol is 0"):
        histogram.refine(2, tol=0)
    with pytest.raises(ValueError, match="codebook is empty"):
        histogram.certificate([])
    with pytest.raises(ValueError, match="weights is infinite"):
        fed([1.0, 1.0], [1.0, 1.0], weights=2 * [[1e308, 1e308]]).solve(1)


def test_merge_refuses_what_is_no_twin(rng: np.random.Generator) -> None:
    coarse = fed(1000.0 + rng.standard_normal(1000))
    with pytest.raises(ValueError, match="different bins"):
        coarse.merge(coarse.refine(4))
    with pytest.raises(TypeError, match="give a Histogram"):
        coarse.merge([1.0])  # type: ignore[arg-type]


# Files


@pytest.fixture
def saved(tmp_path: Path, rng: np.random.Generator) -> Path:
    """File of a histogram with refined bins."""
    x = 1000.0 + rng.standard_normal(3000)
    fed(x, into=fed(x).refine(8)).save(tmp_path / "h.safetensors")
    return tmp_path / "h.safetensors"


def test_there_and_back(saved: Path) -> None:
    histogram = Histogram.load(saved)
    assert histogram.size == 3000
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]
    with pytest.raises(FileExistsError, match="force"):
        histogram.save(saved)
    histogram.save(saved, force=True)
    again = Histogram.load(saved)
    assert np.array_equal(again._sums.rows, histogram._sums.rows)
    assert np.array_equal(again.solve(8).codebook, histogram.solve(8).codebook)
    with pytest.raises(FileNotFoundError):
        histogram.save(saved.parent / "nowhere" / "h")
    with pytest.raises(FileNotFoundError):
        Histogram.load(saved.parent / "nothing")


def test_damage_is_found(saved: Path) -> None:
    good = saved.read_bytes()
    rng = np.random.default_rng(1)
    places = [0, 9, *rng.integers(8, len(good), 12)]
    for place in places:
        bad = bytearray(good)
        bad[place] ^= 1 << int(rng.integers(8))
        saved.write_bytes(bad)
        with pytest.raises(FormatError, match=r"h\.safetensors"):
            Histogram.load(saved)
    for size in (0, 7, 100, len(good) - 1):
        saved.write_bytes(good[:size])
        with pytest.raises(FormatError, match=r"h\.safetensors"):
            Histogram.load(saved)
    with pytest.raises(FormatError, match="folder"):
        Histogram.load(saved.parent)


def forged(path: Path, change: Any) -> None:
    """Rewrite a file with other tensors under a right checksum."""
    from solvq.scalar._histogram_file import Stored, write  # noqa: PLC0415

    with safe_open(path, framework="numpy") as file:
        arrays = {name: file.get_tensor(name) for name in ("nodes", "bins", "sums")}
    change(arrays)
    write(path, Stored(1, *arrays.values()), force=True)


def entry(name: str, place: Any, value: Any) -> Any:
    """Change of one entry."""

    def change(arrays: dict[str, Any]) -> None:
        arrays[name][place] = value

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (entry("nodes", (0, 1), 40), "its bins are others"),
        (entry("nodes", (1, 0), 2**63), "not there"),
        (lambda a: a["nodes"].__setitem__((2, 0), a["nodes"][1, 0]), "not there"),
        (entry("nodes", (1, 1), 42), "not finer"),
        (entry("nodes", (1, 2), 0), "outside its bin"),
        (entry("nodes", (1, 3), 0), "not there"),
        (entry("nodes", (1, 3), 2**62), "too many"),
        (entry("bins", 0, -1), "out of order or range"),
        (entry("bins", -1, 2**40), "out of order or range"),
        (entry("bins", 1, 0), "out of order or range"),
        (entry("sums", (0, 0), 0.0), "out of range"),
        (entry("sums", (0, 0), np.nan), "out of range"),
        (entry("sums", (0, 1), -1.0), "do not fit"),
        (entry("sums", (0, 2), 1e9), "do not fit"),
        (entry("sums", (0, 3), 1.5), "out of range"),
        (lambda a: a.update(nodes=a["nodes"][:0]), "damaged"),
        (lambda a: a.update(sums=a["sums"][:, :4].copy()), "shapes or dtypes"),
        (lambda a: a.update(bins=a["bins"].astype("f8")), "shapes or dtypes"),
    ],
)
def test_forged_files_are_refused(saved: Path, change: Any, words: str) -> None:
    forged(saved, change)
    with pytest.raises(FormatError, match=words):
        Histogram.load(saved)


def test_other_files_are_refused(tmp_path: Path) -> None:
    save_file({"a": np.ones(3)}, tmp_path / "a")
    with pytest.raises(FormatError, match=r"not written by Histogram\.save"):
        Histogram.load(tmp_path / "a")
    save_file({"a": np.ones(3)}, tmp_path / "b", {"solvq.histogram": '{"version": 2}'})
    with pytest.raises(FormatError, match="version 2; this solvq reads version 1: upgrade"):
        Histogram.load(tmp_path / "b")
    save_file({"a": np.ones(3)}, tmp_path / "c", {"solvq.histogram": "[1"})
    with pytest.raises(FormatError, match="damaged"):
        Histogram.load(tmp_path / "c")
