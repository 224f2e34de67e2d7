"""Tables, read and written by pyarrow: CSV as texts and Parquet as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from solvq.files import FormatError
from solvq.media._base import Medium, choose, kind_of, needed


class TableFile(Medium):
    """Columns of a ``.csv`` or ``.parquet`` file; those that are not quantized are kept.

    The columns of a CSV are read as texts, so that those that are kept stay as they are.
    """

    WORD: ClassVar[str] = "column"
    TARGETS: ClassVar[tuple[str, ...]] = (".csv", ".parquet")

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        arrow = needed(path, "pyarrow", "tables")
        try:
            self._table = _read_csv(path) if path.suffix.lower() == ".csv" else _read_parquet(path)
        except (arrow.ArrowException, UnicodeDecodeError) as error:
            kind = path.suffix.lower()[1:]
            raise FormatError(f"{path}: not a valid {kind} table ({_first(error)})") from None
        names = self._table.column_names
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise FormatError(f"{path}: two columns are named {twice[0]!r}; rename one")
        read = {name: _numbers(self._table.column(name)) for name in names}
        found = {name: _fault(numbers) for name, numbers in read.items()}
        chosen = choose(self, found, columns)
        self.kept = {name: found[name] or "not asked for" for name in names if name not in chosen}
        self.parts = {name: self._complete(name, read[name]) for name in chosen}

    def _complete(self, name: str, numbers: Any) -> NDArray[Any]:
        """Numbers of a column in which none is missing."""
        if numbers.null_count:
            raise FormatError(
                f"{self.path}: column {name!r} has {numbers.null_count} missing values among "
                f"{len(numbers)}; fill or drop them first"
            )
        array: NDArray[Any] = numbers.to_numpy()
        return array

    def write(self, path: Path, decoded: Mapping[str, NDArray[Any]]) -> None:
        import pyarrow as pa
        import pyarrow.csv
        import pyarrow.parquet

        table = self._table
        for name, array in decoded.items():
            place = table.column_names.index(name)
            kind = pa.from_numpy_dtype(array.dtype)
            field = table.schema.field(place).with_type(kind)
            table = table.set_column(place, field, pa.array(array, kind))
        if path.suffix.lower() == ".csv":
            options = pyarrow.csv.WriteOptions(quoting_style="needed")
            pyarrow.csv.write_csv(table, path, options)
        else:
            pyarrow.parquet.write_table(table, path)


def _first(error: Exception) -> str:
    """First line of a message."""
    return str(error).strip().partition("\n")[0]


def _read_csv(path: Path) -> Any:
    """Table of texts."""
    from pyarrow import csv, string

    with path.open("rb") as file:
        if not file.read(1):
            raise FormatError(f"{path}: not a valid csv table (it is empty)")
    with csv.open_csv(path) as reader:
        names = reader.schema.names
    convert = csv.ConvertOptions(column_types=dict.fromkeys(names, string()))
    parse = csv.ParseOptions(newlines_in_values=True)
    return csv.read_csv(path, parse_options=parse, convert_options=convert)


def _read_parquet(path: Path) -> Any:
    """Table of a file."""
    from pyarrow import parquet

    return parquet.ParquetFile(path).read()


def _numbers(column: Any) -> Any:
    """Column as numbers where it can be read as such; its text else."""
    import pyarrow as pa
    from pyarrow import compute

    if column.type not in (pa.string(), pa.large_string()):
        return column
    for kind in (pa.int64(), pa.float64()):
        try:
            return compute.utf8_trim_whitespace(column).cast(kind)
        except pa.ArrowInvalid:
            continue
    return column


def _fault(numbers: Any) -> str:
    """What is wrong with a column, in the words of `choose`."""
    import pyarrow as pa

    kind = numbers.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return kind_of(np.dtype(kind.to_pandas_dtype()))
    if kind in (pa.string(), pa.large_string()):
        return _text(numbers)
    return f"{kind} values"


def _text(column: Any) -> str:
    """First entry of a column of texts that is no number."""
    for row, text in enumerate(column.to_pylist()):
        try:
            float(text)
        except (TypeError, ValueError):
            return f"text ({text!r} in row {row + 1})"
    return "text"
