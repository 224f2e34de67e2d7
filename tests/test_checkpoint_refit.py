"""Tables refitted to the outputs of a layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_checkpoint_feedback import decoded, every_layout, problem

from solvq.checkpoint._feedback import feedback, proxy_loss
from solvq.checkpoint._refit import refit
from solvq.scalar import quantize_rows


@every_layout
def test_never_worse_and_indices_follow(layout: dict[str, Any]) -> None:
    """Tables ascend, every weight takes the entry it took, and the loss falls round by round."""
    w, hessian, tables, length = problem(1, 7, 19, 4, **layout)
    damped = hessian + 0.01 * np.diag(hessian).mean() * np.eye(19)
    indices = feedback(w, hessian, tables, length)
    before = proxy_loss(w, decoded(indices, tables, length), damped)
    for _ in range(4):
        tables, indices = refit(w, hessian, tables, indices, length)
        assert (np.diff(tables, axis=2) >= 0).all()
        middle = proxy_loss(w, decoded(indices, tables, length), damped)
        indices = feedback(w, hessian, tables, length, start=indices)
        after = proxy_loss(w, decoded(indices, tables, length), damped)
        assert after <= middle * (1 + 1e-9) <= before * (1 + 2e-9)
        before = after


@pytest.mark.parametrize("shared", [False, True])
def test_refit_is_least_squares(shared: bool) -> None:
    """One table a row, or one for all: against dense least squares over its used entries."""
    w, hessian, tables, n = problem(2, 5, 12, 4, shared=shared)
    indices = feedback(w, hessian, tables, n)
    indices[indices == 1] = 2  # an entry that is not used stays
    damped = hessian + 0.01 * np.diag(hessian).mean() * np.eye(n)
    root = np.linalg.cholesky(damped).T
    found, places = refit(w, hessian, tables, indices, n)
    q = decoded(places, found, n)
    for rows in [slice(0, 5)] if shared else [slice(r, r + 1) for r in range(5)]:
        hot = [root @ np.eye(4)[row] for row in indices[rows]]
        goal = np.concatenate([root @ row for row in w[rows]])
        used = np.unique(indices[rows])
        residual = np.linalg.lstsq(np.concatenate(hot)[:, used], goal, rcond=None)[1]
        assert proxy_loss(w[rows], q[rows], damped) == pytest.approx(float(residual.sum()))
        for entry in tables[0 if shared else rows.start, 0, [1]]:
            assert entry in found[0 if shared else rows.start, 0]


def test_far_better_than_tables_of_the_weights() -> None:
    """By turns, both lower the loss of tables that are optimal for the weights themselves."""
    w, hessian, _, n = problem(3, 16, 32, 4)
    tables = quantize_rows(w, 4).codebooks[:, None]
    indices = feedback(w, hessian, tables, n)
    before = proxy_loss(w, decoded(indices, tables, n), hessian)
    for _ in range(3):
        tables, indices = refit(w, hessian, tables, indices, n)
        indices = feedback(w, hessian, tables, n, start=indices)
    assert proxy_loss(w, decoded(indices, tables, n), hessian) < 0.95 * before


def test_tasks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are independent: parts of them give the same tables."""
    w, hessian, tables, length = problem(4, 9, 10, 3, length=4)
    indices = feedback(w, hessian, tables, length)
    whole = refit(w, hessian, tables, indices, length)
    monkeypatch.setattr("solvq.checkpoint._refit.ROWS", 2)
    parts = refit(w, hessian, tables, indices, length, n_jobs=2)
    np.testing.assert_allclose(parts[0], whole[0], rtol=1e-9)
    np.testing.assert_array_equal(parts[1], whole[1])
