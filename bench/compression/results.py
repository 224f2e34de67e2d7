"""What was measured so far: a file with one JSON line a result, so that a run can go on."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

Result = dict[str, Any]
EQUAL = "="  # in the name of a run at a competitor's size: solvq-auto=nf4


class Job(NamedTuple):
    """One model through one method at one nominal rate; `size` is a limit in bytes."""

    model: str
    method: str
    bits: float
    size: int | None = None

    @property
    def key(self) -> tuple[str, str, float]:
        """What identifies its result."""
        return self.model, self.method, self.bits


class Results:
    """Results in a file; the last line of a key counts, and a line cut short is ignored."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found: dict[tuple[str, str, float], Result] = {}
        self.reload()

    def reload(self) -> None:
        """Read the file again: workers append to it."""
        self.found = {}
        if not self.path.is_file():
            return
        for line in self.path.read_text("utf-8").splitlines():
            try:
                result = json.loads(line)
                key = result["model"], result["method"], float(result["bits"])
            except (ValueError, KeyError, TypeError):
                continue
            self.found[key] = result

    def add(self, result: Result) -> None:
        """Append a result; one that is there already is replaced."""
        append(self.path, result)
        self.found[result["model"], result["method"], float(result["bits"])] = result

    def forget(self, jobs: Iterable[Job]) -> None:
        """Drop the results of some jobs from the file."""
        keys = {job.key for job in jobs}
        self.found = {key: result for key, result in self.found.items() if key not in keys}
        part = self.path.with_suffix(".part")
        part.write_text("".join(json.dumps(each) + "\n" for each in self.found.values()))
        part.replace(self.path)

    def done(self, job: Job) -> bool:
        """Whether a job need not run: it has a result, and of the size that is asked for."""
        result = self.found.get(job.key)
        return result is not None and result["status"] == "ok" and result.get("size") == job.size

    def get(self, model: str, method: str, bits: float) -> Result | None:
        """Result that went well, if there is one."""
        result = self.found.get((model, method, bits))
        return result if result is not None and result["status"] == "ok" else None


def append(path: Path, result: Result) -> None:
    """Add a line to the file, on a line of its own even after one that was cut short."""
    cut = path.is_file() and path.stat().st_size > 0 and not path.read_bytes().endswith(b"\n")
    with path.open("a", encoding="utf-8") as file:
        file.write(("\n" if cut else "") + json.dumps(result) + "\n")


def line(result: Result) -> str:
    """A result for the person who waits."""
    text = result.get("reason", "")
    if result["status"] == "ok":
        name, value = next(iter(result["quality"].items()))
        error = result["relative_error"]
        text = f"{result['nbytes']} bytes, error {error:.3g}, {name} {value:.4f}"
    return f"{result['model']} {result['method']} {result['bits']:g}: {result['status']} {text}"
