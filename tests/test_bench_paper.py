"""The study of the first paper: its judge against numbers by hand, and a tiny run of its parts."""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bench.paper_scalar import claims, local_search, verdicts  # noqa: E402
from bench.paper_scalar.decision import decision  # noqa: E402
from bench.paper_scalar.fits import fit_all  # noqa: E402
from bench.paper_scalar.objective import Judge, any_refuted, coefficients, distortion  # noqa: E402
from bench.paper_scalar.study import Entry, Study, entries  # noqa: E402
from bench.suites import SUITES  # noqa: E402
from solvq.scalar import METHODS  # noqa: E402

X = np.array([0.0, 0.0, 1.0, 4.0, 5.0])


def test_distortion_by_hand() -> None:
    codebook, indices = np.array([0.0, 4.0]), np.array([0, 0, 0, 1, 1])
    assert distortion(X, None, codebook, indices) == pytest.approx((0 + 0 + 1 + 0 + 1) / 5)
    weights = np.array([1.0, 1.0, 2.0, 1.0, 5.0])
    assert distortion(X, weights, codebook, indices) == pytest.approx((2 + 5) / 10)


def test_score_by_hand() -> None:
    judge = Judge(X)
    best, bound = judge.optimum(2)  # {0, 0, 1} and {4, 5}
    assert best == pytest.approx((2 / 9 + 4 / 9 + 1 / 2) / 5)
    assert bound == pytest.approx(best)
    score = judge.score(np.array([0.0, 4.0]), np.array([0, 0, 0, 1, 1]), 2)
    assert score["ratio"] == pytest.approx(0.4 / best)
    assert score["count"] == 2
    assert not score["refuted"]


def test_judge_believes_no_method() -> None:
    """An answer below the bound is reported; more values than asked for do not count as one."""
    judge = Judge(X)
    judge._optima[2] = (1.0, 1.0)
    low = judge.score(np.array([0.0, 4.0]), np.array([0, 0, 0, 1, 1]), 2)
    assert any_refuted([low])
    many = judge.score(np.array([0.0, 1.0, 4.0]), np.array([0, 0, 1, 2, 2]), 2)
    assert many["above_optimum"]
    assert not any_refuted([many])


def test_empty_and_outside_by_hand() -> None:
    judge = Judge(X)
    assert judge.empty(np.array([0.0, 1.1, 2.5, 4.5]), 4) == 1
    assert judge.empty(np.array([0.0, 4.5]), 3) == 1
    assert judge.outside(np.array([-1.0, 0.0, 5.0, 6.0])) == 2


def test_coefficients_are_those_of_the_method() -> None:
    x = np.random.default_rng(0).standard_normal(50)
    model = METHODS["l0"](n_values=7).fit(x[:, None])
    u = np.sort(x)
    assert np.allclose(coefficients(u, model.transform(u[:, None])[:, 0]), model.coef_[1:])


def test_every_method_takes_part() -> None:
    named = entries()
    assert [entry.name for entry in named][: len(METHODS)] == list(METHODS)
    refits = [e for e in named if e.parameters == {"refit": False}]
    assert {entry.method for entry in refits} == {"l1", "l1-l2", "iterative-l1"}


def test_a_fit_that_takes_too_long_is_said_so() -> None:
    x = np.random.default_rng(0).standard_normal(10_000)
    study = Study(None, Path(), time_limit=0.2)
    slow = Entry("mixture", "mixture", {"tol": 0.0, "max_iter": 100_000})
    assert fit_all(study, [(x, None)], 64, slow).status == "timeout"
    assert fit_all(study, [(x[:9], None)], 3, Entry("l1", "l1", {"alpha": -1.0})).status != "ok"


def test_local_search_finds_separate_groups() -> None:
    u = np.sort(np.concatenate([np.arange(5) * 0.01 + centre for centre in (0.0, 10.0, 30.0)]))
    supports = [tuple(support) for support in local_search.local_l0_path(u, 30)]
    assert (0, 5, 10) in supports
    assert np.allclose(local_search.means(u, np.array([0, 5, 10])), [0.02, 10.02, 30.02])


def test_claims_hold_their_records_and_sentences() -> None:
    study = Study(None, Path(), quick=True)
    sets = {"normal": np.random.default_rng(0).standard_normal(60)}
    for check in (claims.even_spacing, claims.schedule, claims.local_search, claims.squares):
        records = check(study, sets if check is not claims.schedule else sets | {"b": X * 1.5})
        assert not any_refuted(records)
        if check is not claims.squares:
            judged = verdicts.CLAIMS[check.__name__](records)
            assert re.search(r"\d", judged.sentence)
            assert judged.verdict in ("confirmed", "refuted", "refined")


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="needs matplotlib")
def test_a_part_runs_and_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The part on synthetic data, cut down to a moment, through the command line."""
    from bench.paper_scalar import synthetic  # noqa: PLC0415

    monkeypatch.setattr(synthetic, "SMALL", 60)
    monkeypatch.setattr(synthetic, "QUICK_SIZES", (100,))
    names = ("uniform", "integer grid")
    monkeypatch.setattr(
        synthetic, "DISTRIBUTIONS", {name: synthetic.DISTRIBUTIONS[name] for name in names}
    )
    suite, command = SUITES["paper-scalar"], argparse.ArgumentParser()
    suite.add_arguments(command)
    options = command.parse_args(["--quick", "--parts", "synthetic", "--out", str(tmp_path)])
    assert suite.run(options) == 0
    first = json.loads((tmp_path / "synthetic.json").read_text())
    assert first["environment"]["seed"] == 0
    assert {r["method"] for r in first["records"]} >= set(METHODS)
    page = (tmp_path / "README.md").read_text()
    for picture in re.findall(r"\]\((\S+\.(?:svg|png))\)", page):
        assert (tmp_path / picture).exists()
    assert "synthetic" in decision({"synthetic": first})
    assert suite.run(options) == 0  # nothing is run again
    assert json.loads((tmp_path / "synthetic.json").read_text()) == first
