"""Tables and figures of what training runs have recorded; needs no torch."""

from solvq.report._details import details
from solvq.report._record import Record, read_run
from solvq.report._render import as_dict, markdown, text
from solvq.report._table import Row, Table, table

__all__ = [
    "Record",
    "Row",
    "Table",
    "as_dict",
    "details",
    "markdown",
    "read_run",
    "table",
    "text",
]
