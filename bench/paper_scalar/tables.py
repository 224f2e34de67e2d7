"""Markdown tables of the study, from the records alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from bench.paper_scalar.study import Record


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table."""
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def short(value: float | None) -> str:
    """Write a number with three digits, large ones without decimals; a dash for None."""
    if value is None or not np.isfinite(value):
        return "-" if value is None or np.isnan(value) else "inf"
    if 0.9 <= value < 1.1:
        return f"{value:.3f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def cell(records: list[Record], field: str, write: Callable[[float], str] = short) -> str:
    """Write one field of the records of a cell: their geometric mean, or why there is none."""
    if not records:
        return "-"
    if missing := [r["status"] for r in records if r.get("status", "ok") != "ok"]:
        return "timeout" if "timeout" in missing[0] else "failed"
    values = [r[field] for r in records]
    if len(values) == 1:
        return write(values[0])
    return write(float(np.exp(np.mean(np.log(np.maximum(values, 1e-12))))))


def pivot(
    records: list[Record],
    field: str,
    columns: str = "n_values",
    rows: str = "method",
    **options: Any,
) -> str:
    """Write a table of one field: methods down, numbers of values across."""
    across = (
        sorted({r[columns] for r in records})
        if columns != "data"
        else list(dict.fromkeys(r[columns] for r in records))
    )
    down = list(dict.fromkeys(r[rows] for r in records))
    body = [
        [
            name,
            *(
                cell([r for r in records if r[rows] == name and r[columns] == a], field, **options)
                for a in across
            ),
        ]
        for name in down
    ]
    return markdown([rows, *(f"{a:,}" if isinstance(a, int) else str(a) for a in across)], body)


def folded(title: str, table: str) -> str:
    """Hide a table behind its title, for people who do not need it."""
    return f"<details><summary>{title}</summary>\n\n{table}\n\n</details>\n"


def quality(value: float) -> str:
    """Write an accuracy, error rate or correlation."""
    return f"{value:.3f}"


def seconds(value: float) -> str:
    """Write CPU seconds."""
    return f"{value:.2g}"


def weights(data: Record) -> str:
    """Write the tables of the networks: quality first, the rest folded."""
    text = []
    for about in data["networks"]:
        name = about["network"]
        mine = [r for r in data["records"] if r["network"] == name]
        plain = [r for r in mine if r["weighting"] == "counts"]
        whole = [r for r in plain if r["layer"] == "all"]
        text.append(
            f"### {name}\n{about['task']}: {about['quality']:.4f} before quantization. All "
            f"{about['n_tensors']} tensors quantized, a table each:\n\n"
            + pivot(whole, "quality", write=quality)
            + "\n"
        )
        text.append(
            folded("error over the optimum, geometric mean of tensors", pivot(whole, "ratio"))
        )
        text.append(folded("CPU seconds, all tensors", pivot(whole, "seconds", write=seconds)))
        for weighting in ("unweighted", "fisher"):
            rows = [r for r in mine if r["weighting"] == weighting and r["layer"] == "all"]
            if rows:
                what = "each distinct value once" if weighting == "unweighted" else "Fisher weights"
                text.append(folded(f"quality, {what}", pivot(rows, "quality", write=quality)))
                text.append(folded(f"error over the optimum, {what}", pivot(rows, "ratio")))
        text += layer_tables(plain)
    return "\n".join(text)


def layer_tables(records: list[Record]) -> list[str]:
    """Write the tables of single layers: error, quality, count reached, sparsity."""
    text = []
    for layer in dict.fromkeys(r["layer"] for r in records if r["layer"] != "all"):
        rows = [r for r in records if r["layer"] == layer]
        text.append(folded(f"{layer}: error over the optimum", pivot(rows, "ratio")))
        text.append(folded(f"{layer}: quality", pivot(rows, "quality", write=quality)))
        text.append(folded(f"{layer}: CPU seconds", pivot(rows, "seconds", write=seconds)))
        text.append(folded(f"{layer}: count reached", pivot(rows, "count", write=str)))
        if any("steps" in r for r in rows):
            for r in rows:
                steps = r.get("steps", {})
                r["nonzero"] = None if not steps else 1 - steps["zero_share"]
                r["median"] = steps.get("log10_median")
            text.append(
                folded(
                    f"{layer}: share of nonzero coefficients, %",
                    pivot(rows, "nonzero", write=percent),
                )
            )
            text.append(
                folded(f"{layer}: log10 of their median size", pivot(rows, "median", write=decade))
            )
    return text


def percent(value: float) -> str:
    """Write a share in percent."""
    return f"{100 * value:.3g}"


def decade(value: float | None) -> str:
    """Write a logarithm."""
    return "-" if value is None else f"{value:.1f}"


def images(data: Record) -> str:
    """Write the tables of the pictures."""
    text, records = [], data["records"]
    for name in dict.fromkeys(r["set"] for r in records):
        mine = [r for r in records if r["set"] == name]
        loss = [r for r in mine if r["kind"] == "loss"]
        usual = {r["n_values"] for r in loss if r["n_values"] in (2, 3, 4, 8, 16, 32, 64)}
        for weighting, told in (("counts", "counts"), ("unweighted", "each grey level once")):
            rows = [r for r in loss if r["weighting"] == weighting and r["n_values"] in usual]
            text.append(
                f"{name}, error over the optimum, methods see {told}:\n\n"
                + pivot(rows, "ratio")
                + "\n"
            )
        ends = [
            r for r in loss if r["n_values"] == r["distinct"] - 1 and r["weighting"] == "counts"
        ]
        for r in ends:
            r["end"] = "one value less than there are"
        text.append(folded(f"{name}: at the upper end of the range", pivot(ends, "ratio", "end")))
        clips = [r for r in mine if r["kind"] == "clip"]
        rows = [
            [r["method"], r["range"], f"{r['moved']} of {r['entries']}", f"{r['cost']:.3f}"]
            for r in clips
        ]
        head = ["method", "admissible range", "values moved", "error / error without"]
        text.append(folded(f"{name}: clipping, 8 values", markdown(head, rows)))
    return "\n".join(text)


def synthetic(data: Record) -> str:
    """Write the tables of the synthetic data."""
    records = data["records"]
    grown = [r for r in records if r["kind"] == "growth"]
    text = []
    fitted = data["exponents"]
    if fitted:
        methods = list(dict.fromkeys(m for found in fitted.values() for m in found))
        rows = [[m, *(short(found.get(m)) for found in fitted.values())] for m in methods]
        table = markdown(["method", *fitted], rows)
        text.append(
            "Exponents p of time = c n^p, from 10,000 data on, 16 values:\n\n" + table + "\n"
        )
    for r in grown:
        r["megabytes"] = r.get("extra_bytes", 0) / 1e6
    for name in dict.fromkeys(r["data"] for r in records):
        mine = [r for r in records if r["data"] == name]
        loss = [r for r in mine if r["kind"] == "loss"]
        rows = [r for r in mine if r["kind"] == "growth"]
        text.append(folded(f"{name}, 500 values: error over the optimum", pivot(loss, "ratio")))
        text.append(
            folded(f"{name}: CPU seconds by size", pivot(rows, "seconds", "size", write=seconds))
        )
        text.append(folded(f"{name}: extra MB by size", pivot(rows, "megabytes", "size")))
        text.append(folded(f"{name}: error over the optimum by size", pivot(rows, "ratio", "size")))
    return "\n".join(text)
