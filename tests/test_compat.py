"""Drop-ins: the same results as the packages in whose place they stand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import numbers

import solvq
from solvq.compat import coremltools as ours_coreml
from solvq.compat import kmeans1d as ours_kmeans
from solvq.compat.coremltools import lut_function
from solvq.compat.kmeans1d import Clustered, cluster


def cost(x: Any, found: Any) -> float:
    """Sum of squared distances of numbers to the centres of their clusters."""
    return float(np.sum((np.asarray(x, float) - np.array(found.centroids)[found.clusters]) ** 2))


# kmeans1d


@settings(max_examples=40)
@given(x=numbers(), k=st.integers(1, 12))
def test_clusters_as_kmeans1d_does(x: Any, k: int) -> None:
    theirs = pytest.importorskip("kmeans1d").cluster(x, k)
    found = cluster(x, k)
    assert found._fields == theirs._fields
    assert len(found.centroids) == len(theirs.centroids)
    assert cost(x, found) == pytest.approx(cost(x, theirs), rel=1e-9, abs=1e-9 * (1 + x @ x))


def test_same_lists_as_kmeans1d() -> None:
    theirs = pytest.importorskip("kmeans1d")
    rng = np.random.default_rng(0)
    cases: list[tuple[Any, int]] = [
        ([4.0, 4.1, 4.2, -50, 200.2, 200.4, 200.9, 80, 100, 102], 4),
        ([1, 1, 2], 3),
        ([3, 1, 1, 3, 2, 2], 4),
        ([1.5], 4),
        (np.array([1, 2, 9], "f4"), 2),
        (rng.standard_normal(2000), 16),
        (rng.integers(0, 40, 300), 30),
    ]
    for x, k in cases:
        found, expected = cluster(x, k), theirs.cluster(x, k)
        assert found.clusters == expected.clusters
        assert np.allclose(found.centroids, expected.centroids, rtol=1e-9, atol=1e-9)
        assert {type(c) for c in found.clusters} == {int}
        assert {type(c) for c in found.centroids} == {float}
        assert tuple(found) == (found.clusters, found.centroids)


def test_few_distinct_numbers_leave_clusters_empty() -> None:
    assert cluster([2, 2, 1, 1], 4) == Clustered([3, 3, 2, 2], [0.0, 0.0, 1.0, 2.0])
    assert cluster([1.5], 3) == Clustered([0], [1.5])


def test_large_offsets_are_no_harm() -> None:
    x = np.random.default_rng(0).standard_normal(500)
    shifted = cluster(x + 1e8, 5)
    assert shifted.clusters == cluster(x, 5).clusters


@pytest.mark.parametrize(
    ("x", "k", "words"),
    [
        ([], 2, "empty"),
        ([1.0, np.nan], 2, "NaN"),
        ([1.0], 0, "k is 0"),
        ([[1.0]], 1, "flat sequence"),
    ],
)
def test_bad_input_of_cluster(x: Any, k: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        cluster(x, k)


# coremltools


@pytest.mark.parametrize("dtype", ["f4", "f2"])
@pytest.mark.parametrize("nbits", [1, 4, 8])
def test_table_and_indices(dtype: str, nbits: int) -> None:
    weight = np.random.default_rng(0).standard_normal((20, 3, 10)).astype(dtype)
    lut, indices = lut_function(nbits)(weight)
    assert (lut.shape, lut.dtype) == ((1 << nbits,), weight.dtype)
    assert (indices.shape, indices.dtype) == ((600,), np.uint8)
    best = solvq.quantize(weight, 1 << nbits)
    assert np.array_equal(lut[indices].reshape(weight.shape), best.decode())


def test_tables_are_filled_up() -> None:
    lut, indices = lut_function(n_values=5)(np.array([3.0, 1.0, 2.0, 1.0], "f4"))
    assert lut.tolist() == [1.0, 2.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0]
    assert indices.tolist() == [2, 0, 1, 0]
    assert lut_function(n_values=17)(np.arange(30.0))[0].size == 64


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "give one of them"),
        ({"nbits": 4, "n_values": 16}, "give one of them"),
        ({"nbits": 5}, "1, 2, 3, 4, 6, 8"),
        ({"n_values": 257}, "at most 256"),
        ({"n_values": 0}, "n_values is 0"),
        ({"nbits": 4, "method": "magic"}, "choose one of"),
    ],
)
def test_bad_arguments_of_lut_function(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        lut_function(**arguments)


@pytest.mark.parametrize("group", [0, 4])
def test_coremltools_takes_the_tables(group: int) -> None:
    passes = pytest.importorskip("coremltools.optimize.coreml._quantization_passes")
    weight = np.random.default_rng(0).standard_normal((8, 64)).astype("f4")
    sizes = [group, 0]
    found = passes.palettize_weights.blockwise_compress(
        weight, "CUSTOM", None, sizes, lut_function=lut_function(4)
    )
    restored = passes.palettize_weights.decompress(found)
    blocks = np.split(weight, 8 // (group or 8))
    best = np.concatenate([solvq.quantize(block, 16).decode() for block in blocks])
    assert np.array_equal(restored.reshape(weight.shape), best)


def test_coremltools_palettizes_a_model() -> None:
    pytest.importorskip("coremltools")
    import coremltools as ct  # noqa: PLC0415
    from coremltools.converters.mil import Builder  # noqa: PLC0415
    from coremltools.optimize import coreml  # noqa: PLC0415

    weight = np.random.default_rng(0).standard_normal((64, 64)).astype("f4")

    @Builder.program(input_specs=[Builder.TensorSpec(shape=(1, 64))])
    def program(x: Any) -> Any:
        return Builder.linear(x=x, weight=weight)

    model = ct.convert(
        program,
        convert_to="mlprogram",
        compute_precision=ct.precision.FLOAT32,
        minimum_deployment_target=ct.target.iOS16,
        skip_model_load=True,
    )
    config = coreml.OpPalettizerConfig(mode="custom", lut_function=lut_function(4))
    small = coreml.palettize_weights(model, coreml.OptimizationConfig(global_config=config))
    (op,) = small._mil_program.functions["main"].find_ops(op_type="constexpr_lut_to_dense")
    best = solvq.quantize(weight, 16)
    assert np.array_equal(op.materialized_val_inference(), best.decode())
    assert np.array_equal(op.lut.val, best.codebook)


def test_what_is_public() -> None:
    assert ours_kmeans.__all__ == ["Clustered", "cluster"]
    assert ours_coreml.__all__ == ["lut_function"]
