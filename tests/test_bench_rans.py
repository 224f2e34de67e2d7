"""The benchmark of the coder: what every coder writes comes back, and sizes count everything."""

from __future__ import annotations

from bench.suites.rans import measured, sources, text


def test_all_coders_are_exact() -> None:
    """On every source; and none is below the entropy unless it tells rows apart."""
    for name, source in sources(1 << 13, 0).items():
        rows = measured(source, 1)
        assert all(row.exact for row in rows)
        assert all(row.over_entropy >= 1.0 for row in rows if row.method != "solvq, classes")
        assert rows[0].method in text(name, source, rows)
