"""A table as text for a terminal, as Markdown, and as plain data for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from solvq.report._table import Cell, Column, Row, Table

ABSENT = "-"


def _cell(cell: Cell, column: Column) -> str:
    """Mean and half range in the pattern of a column."""
    if cell.mean is None:
        return ABSENT
    mean = format(cell.mean, column.pattern)
    return mean if cell.half_range is None else f"{mean} ±{cell.half_range:.2g}"


def _cells(row: Row, columns: tuple[Column, ...]) -> list[str]:
    """Name and figures of a row."""
    several = f" ({len(row.runs)} seeds)" if len(row.runs) > 1 else ""
    return [row.name + several, *(_cell(row.cells[column.key], column) for column in columns)]


def _grid(table: Table) -> list[list[str]]:
    """All cells, titles first."""
    titles = ["method", *(column.title for column in table.columns)]
    return [titles, *(_cells(row, table.columns) for row in table.rows)]


def text(table: Table) -> list[str]:
    """Lines with aligned columns, and the notes below."""
    return [*aligned(_grid(table)), *table.notes]


def aligned(grid: Sequence[Sequence[str]]) -> list[str]:
    """Lines of cells: names on the left, figures under each other."""
    widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
    return [
        "  ".join(
            [line[0].ljust(widths[0])]
            + [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        )
        for line in grid
    ]


def markdown(table: Table) -> list[str]:
    """Lines of a Markdown table, and the notes as a paragraph."""
    titles, *rest = (["| " + " | ".join(line) + " |"] for line in _grid(table))
    rule = "|---|" + "---:|" * len(table.columns)
    notes = ".\n".join(note[:1].upper() + note[1:] for note in table.notes)
    return [*titles, rule, *(line for lines in rest for line in lines), "", f"{notes}."]


def as_dict(table: Table) -> dict[str, Any]:
    """Rows as plain numbers and texts; the keys are those of the columns."""
    rows = [
        {
            "name": row.name,
            "runs": list(row.runs),
            "seeds": list(row.seeds),
            "figures": {
                key: {"mean": cell.mean, "half_range": cell.half_range}
                for key, cell in row.cells.items()
            },
        }
        for row in table.rows
    ]
    titles = {column.key: column.title for column in table.columns}
    return {"columns": titles, "rows": rows, "notes": list(table.notes)}
