"""What the command line prints of a report, and while one waits."""

from __future__ import annotations

import io
import json
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from solvq.checkpoint import Report, TensorReport
from solvq.cli import _show, _tensors
from solvq.cli._tensors import Tensors

SHARED = TensorReport(
    name="[bold]b[/bold]\x1b[31m\r\nred",
    shape=(32, 40),
    dtype="F32",
    n_values=4,
    layout="row",
    kept_because="",
    bits_per_weight=2.1,
    relative_error=0.125,
    lower_bound=0.125,
    output_error=None,
    energy=1000.0,
    nbytes_before=5120,
    nbytes_after=336,
)
KEPT = TensorReport(
    name="层\u202e" + "x" * 200,
    shape=(),
    dtype="F64",
    n_values=None,
    layout="",
    kept_because="fewer than 1024 weights",
    bits_per_weight=64.0,
    relative_error=0.0,
    lower_bound=0.0,
    output_error=None,
    energy=0.0,
    nbytes_before=8,
    nbytes_after=8,
)
ESCAPED = r"[bold]b[/bold]\x1b[31m\r\nred"
REPORT = Report((SHARED, KEPT), 5300, 1060, 1.25, {"n_values": 4}, {})


def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    _show.show(Tensors(REPORT), as_json=False)
    rest = "2.10 bits/weight, relative error 0.1250, gap 0, 1.2 s"
    assert capsys.readouterr().out.splitlines() == [
        "values  bits/weight  rel. error  gap  layout  dtype   shape  tensor",
        f"     4         2.10      0.1250    0     row    F32   32x40  {ESCAPED}",
        r"kept: fewer than 1024 weights                   F64  scalar  层\u202e" + "x" * 200,
        f"total: 5.3 kB -> 1.1 kB, ratio 5.00, {rest}",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.25, "0.2500"), (1.26e-13, "1.3e-13"), (np.inf, "inf"), (np.nan, "nan")],
)
def test_figure(value: float, text: str) -> None:
    assert _tensors.figure(value) == text


def test_work_for_a_large_model_is_in_proportion(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    monkeypatch.setattr(_tensors, "figure", lambda value: calls.append(value) or "0")
    for n in (1, 2_000):
        calls.clear()
        _show.show(Tensors(replace(REPORT, tensors=REPORT.tensors * n)), as_json=False)
        assert len(calls) == 2 * n + 2  # of the one tensor that is quantized, and of the total
        assert capsys.readouterr().out.count("\n") == 2 * n + 2


def test_json_is_strict(capsys: pytest.CaptureFixture[str]) -> None:
    odd = replace(SHARED, relative_error=np.inf, lower_bound=np.nan)
    _show.show(Tensors(replace(REPORT, tensors=(odd,))), as_json=True)
    text = capsys.readouterr().out
    assert "NaN" not in text
    assert "Infinity" not in text
    assert json.loads(text)["tensors"][0]["lower_bound"] is None
    assert json.loads(text)["tensors"][0]["name"] == SHARED.name


@pytest.mark.parametrize("counts_bytes", [True, False])
def test_progress_bar(counts_bytes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    with _show.progress_bar() as absent:
        assert absent is None
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(_show, "PATIENCE", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    with _show.progress_bar(counts_bytes) as progress:
        assert progress is not None
        for step in range(5):
            progress("[red]w\n", 100 * step, 400)
            time.sleep(0.1)
    assert r"[red]w\n" in terminal.getvalue()
    assert ("/400 bytes" if counts_bytes else "m400/400\x1b") in terminal.getvalue()
