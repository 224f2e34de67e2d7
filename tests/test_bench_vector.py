"""The objective of the vector benchmarks on cases done by hand, and each suite once, very small."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from bench.__main__ import parser
from bench.suites import SUITES
from bench.vector.method import Penalty
from bench.vector.objective import (
    Certificate,
    absolute,
    certify,
    nearest_two,
    quantization_error,
    reference_gradients,
)
from bench.vector.problem import VectorProblem
from bench.vector.tables import Goal

WORDS = np.array([[2.0, 0.0], [0.0, 1.0]])
LATENT = np.array([[1.5, 0.25]])
PENALTY = Penalty("anchored", 0.1)


def closed_form(z: np.ndarray, words: np.ndarray, ridge: float) -> np.ndarray:
    """Weights for two codewords of which the first is nearest, by setting the derivative to 0."""
    across = words[0] - words[1]
    share = (across @ (z - words[1]) + 2 * ridge) / (across @ across + 2 * ridge)
    return np.array([np.clip(share, 0, 1), 1 - np.clip(share, 0, 1)])


def test_quantization_error() -> None:
    """One half of the energy is lost."""
    z = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert quantization_error(z, np.array([[1.0, 0.0], [0.0, 0.0]])) == 0.5


def test_gap_is_zero_at_the_minimum_and_bounds_the_excess_elsewhere() -> None:
    ridge = absolute(PENALTY, WORDS)
    assert ridge == pytest.approx(0.25)
    best = closed_form(LATENT[0], WORDS, ridge)
    assert 0.5 < best[0] < 1
    proof = certify(LATENT, WORDS, best[None], PENALTY)
    by_hand = ((LATENT[0] - best @ WORDS) ** 2).sum() + ridge * ((best - [1, 0]) ** 2).sum()
    assert proof.objective[0] == pytest.approx(by_hand / 2)
    assert proof.gap[0] == pytest.approx(0, abs=1e-12)
    for share in (0.0, 0.3, 1.0):
        other = certify(LATENT, WORDS, np.array([[share, 1 - share]]), PENALTY)
        excess = other.objective[0] - proof.objective[0]
        assert 0 < excess <= other.gap[0] + 1e-12


def test_local_gap() -> None:
    """At the vertex of a latent that is a codeword the local objective is 0, and so is the gap."""
    proof = certify(WORDS[:1], WORDS, np.array([[1.0, 0.0]]), Penalty("local", 0.3))
    assert proof == Certificate(*(np.zeros(1),) * 3)
    other = certify(WORDS[:1], WORDS, np.array([[0.0, 1.0]]), Penalty("local", 0.3))
    assert other.objective[0] == pytest.approx((5 + 0.3 * 5) / 2)


def test_infeasible_weights_are_seen() -> None:
    proof = certify(LATENT, WORDS, np.array([[1.25, -0.5]]), PENALTY)
    assert proof.infeasible[0] == 0.5


def test_ties_take_the_choice_that_proves_more() -> None:
    words = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 3.0]])
    z = np.array([[0.0, 0.0], [0.5, 0.0]])
    first, second = nearest_two(z, words)
    assert {first[0], second[0]} == {0, 1}
    assert first[1] == second[1] == 0
    gaps = certify(z[[0, 0]], words, np.eye(3)[:2], Penalty("anchored", 1000.0)).gap
    assert np.allclose(gaps, 2)  # the other choice would leave a gap of thousands


def test_reference_gradients_are_those_of_differences() -> None:
    ridge = absolute(PENALTY, WORDS)
    cotangent = np.array([[0.7, -0.4]])

    def loss(z: np.ndarray, words: np.ndarray) -> float:
        return float(cotangent[0] @ (closed_form(z, words, ridge) @ words))

    weights = closed_form(LATENT[0], WORDS, ridge)[None]
    found = reference_gradients(LATENT, WORDS, weights, cotangent, PENALTY)
    step = 1e-6
    for i in range(2):
        e = step * np.eye(2)[i]
        slope = (loss(LATENT[0] + e, WORDS) - loss(LATENT[0] - e, WORDS)) / (2 * step)
        assert found.z[0, i] == pytest.approx(slope, abs=1e-8)
        for j in range(2):
            change = step * np.outer(np.eye(2)[j], np.eye(2)[i])
            slope = (loss(LATENT[0], WORDS + change) - loss(LATENT[0], WORDS - change)) / (2 * step)
            assert found.codebook[j, i] == pytest.approx(slope, abs=1e-8)


def test_first_rows_do_not_depend_on_how_many_follow() -> None:
    few, many = VectorProblem(3, 4, 8, seed=5).load(), VectorProblem(9, 4, 8, seed=5).load()
    assert all(np.array_equal(a, b) for a, b in zip(few, many.first(3), strict=True))


def test_goals_say_what_was_not_measured() -> None:
    assert Goal("time", 0.3, 0.2).line().startswith("NOT MET")
    assert Goal("ratio", 40.0, 30.0, least=True).line().startswith("met")
    assert Goal("ratio", None, 30.0, least=True).line().startswith("not measured")


def test_every_layer_takes_the_codebook_and_answers() -> None:
    from bench.vector.layers.ours import OurLayer  # noqa: PLC0415
    from solvq.vector import METHODS  # noqa: PLC0415

    data = VectorProblem(12, 4, 8, seed=5).load()
    for name in METHODS:
        bound = OurLayer(name).bind(data)
        bound.forward()
        bound.training()
        assert bound.answer()["values"].shape == data.z.shape


SMALLEST = {
    "vector-speed": ["--only", "N=64 F=8 K=16", "--methods", "soft_convex 0.1"],
    "vector-exact": ["--only", "N=8 F=4 K=8", "--methods", "solvq 1e-3,qpth"],
    "vector-ablation": ["--only", "F=16 K=32", "--quick", "--rows", "8"],
}


@pytest.mark.parametrize("suite", SMALLEST)
def test_suite_in_its_smallest_form(
    suite: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if suite == "vector-speed":
        pytest.importorskip("vector_quantize_pytorch")
    if suite == "vector-exact":
        pytest.importorskip("clarabel")
    out = tmp_path / "out.json"
    given = [suite, *SMALLEST[suite], "--repeats", "1", "--json", str(out)]
    assert SUITES[suite].run(parser().parse_args(given)) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"{suite}: ")
    results = json.loads(out.read_text())["results"]
    if suite == "vector-ablation":
        assert [entry["alpha"] for entry in results] == [1e-3, 1e-2, 0.1, 1.0, 10.0]
        assert results[2]["methods"]["exact 50"]["excess"] < 1e-4
    else:
        statuses = {name: m["status"] for name, m in results[0]["methods"].items()}
        ours = [name for name in statuses if name != "qpth"]
        assert {statuses[name] for name in ours} == {"ok"}
