"""``compression-speed``: MiniLM compressed, over sorts and histograms of its tensors."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, final

import ml_dtypes
import numpy as np
from safetensors.numpy import load_file, save_file

from bench.compression.models.minilm import PACKAGE
from bench.compression.place import packaged
from bench.environment import environment, environment_text
from bench.measure import THREAD_VARIABLES, failure
from bench.report import lines_up, number
from bench.suites._base import Suite
from bench.vector.tables import Goal

HEADER = "case|CPU s|wall s|MB/s|yardstick s|CPU ratio|wall ratio|extra MB|/ largest|bytes|error"
NOTES = """\
CPU, wall  of solvq.checkpoint.compress, reading and writing included; best of the runs
MB/s       of the file that is read, by wall seconds
yardstick  CPU seconds of np.sort over all rows, or of the histograms of the 16-bit patterns of all
           tensors (solvq's own kernel), in the same process; the ratios are to it, wall to wall
extra      highest resident memory during the call minus resident memory before it, median of
           the runs"""


class Case(NamedTuple):
    """What is compressed, how, and what it is compared with."""

    name: str
    dtype: str
    settings: dict[str, Any]
    yardstick: str


CASES = (
    Case("float32, 16 values per row", "float32", {"n_values": 16, "layout": "row"}, "sort"),
    Case("bfloat16, 16 values per tensor", "bfloat16", {"n_values": 16}, "histogram"),
    Case("bfloat16, 256 values per tensor", "bfloat16", {"n_values": 256}, "histogram"),
)


@final
class CompressionSpeed(Suite):
    """Each case in a process of its own, after a warm-up."""

    summary = "time and memory to compress MiniLM, over sorts and histograms of its tensors"

    def add_arguments(self, command: argparse.ArgumentParser) -> None:
        """Add effort and where the results go."""
        add = command.add_argument
        add("--repeats", type=int, default=3, metavar="N", help="runs of a case (default 3)")
        add("--threads", type=int, default=1, metavar="N", help="threads (default 1)")
        add("--json", type=Path, metavar="PATH", help="also write everything as JSON")
        add("--text", type=Path, metavar="PATH", help="also write the table")

    def run(self, options: argparse.Namespace) -> int:
        """Measure all cases, print table and goals; 1 if a goal is missed."""
        facts = environment(["solvq", PACKAGE[0]], 0, options.threads)
        print(environment_text(facts), end="\n\n", flush=True)
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            files = {case.dtype: model(case.dtype, Path(folder)) for case in CASES}
            found = {c.name: measure(c, files[c.dtype], options) for c in CASES}
        goals = stated(found)
        text = "\n".join([table(found), "", NOTES, "", *(goal.line() for goal in goals)])
        print(text)
        if options.text is not None:
            options.text.write_text(f"{environment_text(facts)}\n\n{text}\n")
        if options.json is not None:
            judged = [{**goal._asdict(), "met": goal.met} for goal in goals]
            written = {"environment": facts, "results": found, "goals": judged}
            options.json.write_text(json.dumps(written, indent=1) + "\n")
        return int(any(goal.met is False for goal in goals))


def model(dtype: str, folder: Path) -> Path:
    """MiniLM's file as shipped, or cast."""
    shipped = packaged(*PACKAGE, "model.safetensors")
    if dtype == "float32":
        return shipped
    path = folder / f"{dtype}.safetensors"
    tensors = load_file(shipped)
    kind = np.dtype(getattr(ml_dtypes, dtype))
    save_file({n: x.astype(kind) if x.dtype.kind == "f" else x for n, x in tensors.items()}, path)
    return path


def measure(case: Case, path: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Run a case in a fresh process."""
    task = {
        "model": str(path),
        "settings": case.settings,
        "yardstick": case.yardstick,
        "repeats": options.repeats,
        "threads": options.threads,
    }
    process = subprocess.run(
        [sys.executable, "-m", "bench.compression.speed"],
        input=json.dumps(task),
        env=os.environ | dict.fromkeys(THREAD_VARIABLES, str(options.threads)),
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode:
        raise SystemExit(f"{case.name}: {failure(process.returncode, process.stderr)}")
    return json.loads(process.stdout)


def ratios(result: dict[str, Any]) -> dict[str, float]:
    """Best run over best yardstick, and memory over the largest tensor."""
    return {
        "cpu": min(result["cpu"]) / min(result["yardstick_cpu"]),
        "wall": min(result["wall"]) / min(result["yardstick_wall"]),
        "memory": median(result["extra_bytes"]) / result["largest_tensor"],
    }


def stated(found: dict[str, dict[str, Any]]) -> list[Goal]:
    """The goals of the issue."""
    rows = ratios(found[CASES[0].name])
    goals = [
        Goal(f"{CASES[0].name}: CPU / np.sort of the rows", rows["cpu"], 20.0),
        Goal(f"{CASES[0].name}: peak memory / largest tensor", rows["memory"], 3.0),
    ]
    for case in CASES[1:]:
        found_here = ratios(found[case.name])
        for kind in ("cpu", "wall"):
            goals.append(Goal(f"{case.name}: {kind} / histogram", found_here[kind], 6.0))
    return goals


def table(found: dict[str, dict[str, Any]]) -> str:
    """The figures for people."""
    rows = [HEADER.split("|")]
    for name, result in found.items():
        over = ratios(result)
        rows.append(
            [
                name,
                number(min(result["cpu"])),
                number(min(result["wall"])),
                number(result["before"] / 1e6 / min(result["wall"])),
                number(min(result["yardstick_cpu"])),
                number(over["cpu"]),
                number(over["wall"]),
                number(median(result["extra_bytes"]) / 1e6),
                number(over["memory"]),
                f"{result['before']} -> {result['after']}",
                f"{result['relative_error']:.4g}",
            ]
        )
    return "\n".join(lines_up(rows))


SUITE = CompressionSpeed()
