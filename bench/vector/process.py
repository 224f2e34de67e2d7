"""Methods in processes of their own, which take turns: interleaved times, and honest memory."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bench.vector.method import Method
from bench.vector.problem import Array, VectorProblem

ROOT = Path(__file__).parents[2]
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
START_SECONDS = 180.0
CALLS = ("forward", "training")
TURN_SECONDS = 0.1


class Effort(NamedTuple):
    """How hard to measure: turns, seconds allowed for one run, threads, interpreter of peers."""

    repeats: int
    timeout: float
    threads: int
    peer_python: str = sys.executable


@dataclass
class Times:
    """CPU and wall seconds of the runs of one call, and its largest extra memory in bytes."""

    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    extra: int = 0

    def add(self, turn: dict[str, Any]) -> None:
        """Add the runs of a turn."""
        self.cpu += turn["cpu"]
        self.wall += turn["wall"]
        self.extra = max(self.extra, turn["extra"])


@dataclass
class Measurement:
    """What one method did on one problem."""

    status: str = "ok"
    reason: str = ""
    rows: int = 0
    forward: Times = field(default_factory=Times)
    training: Times = field(default_factory=Times)
    arrays: dict[str, Array] = field(default_factory=dict)


class Process:
    """One method with one problem in a fresh interpreter."""

    def __init__(self, task: dict[str, Any], python: str, threads: int) -> None:
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        self.child = subprocess.Popen(
            [python, "-m", "bench.vector.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            cwd=ROOT,
            env=os.environ | dict.fromkeys(THREAD_VARIABLES, str(threads)),
        )
        self.result = Measurement()
        ready = self.ask(json.dumps(task), START_SECONDS)
        if ready is not None and "missing" in ready:
            self.result.status, self.result.reason = "skipped", ready["missing"]
        elif ready is not None:
            self.result.rows = ready["rows"]

    @property
    def going(self) -> bool:
        """Whether the method still takes turns."""
        return self.result.status == "ok"

    def ask(self, command: str, patience: float) -> dict[str, Any] | None:
        """Send a command and return the reply; None, with the reason noted, if there is none."""
        if self.child.stdin is None or self.child.stdout is None:
            raise RuntimeError("the process has no pipes")
        try:
            self.child.stdin.write(command + "\n")
            self.child.stdin.flush()
            ready = select.select([self.child.stdout], [], [], patience)[0]
            line = self.child.stdout.readline() if ready else None
        except BrokenPipeError:
            line = ""
        if line:
            reply: dict[str, Any] = json.loads(line)
            return reply
        if line is None:
            self.child.kill()
            self.result.status = "timeout"
            self.result.reason = f"no reply after {patience:.0f} s of wall time"
        else:
            self._ended(self.child.wait())
        return None

    def _ended(self, code: int) -> None:
        """Note why the process ended by itself."""
        if code == -signal.SIGALRM:
            self.result.status, self.result.reason = "timeout", "one run took too long"
            return
        self.errors.seek(0)
        said = [line.strip() for line in self.errors if line.strip()]
        words = f"ended by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        self.result.status, self.result.reason = "failed", said[-1] if said and code > 0 else words

    def close(self) -> None:
        """Let the process end."""
        if self.child.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.child.stdin.close()
        try:
            self.child.wait(10)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        if self.child.stdout is not None:
            self.child.stdout.close()
        self.errors.close()


def measure(
    kind: str,
    methods: dict[str, Method],
    problem: VectorProblem,
    effort: Effort,
    judged: int = 0,
) -> dict[str, Measurement]:
    """Measure methods of a kind on one problem; a slow or broken one is reported, never dropped.

    ``judged`` is the number of rows of the answer, the same for all methods; 0 for all rows.
    """
    results = {name: unavailable(method, effort) for name, method in methods.items()}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        file = Path(folder) / "answer.npz"

        def start(name: str) -> Process:
            task = {
                "kind": kind,
                "method": name,
                "problem": asdict(problem),
                "judged": judged,
                "threads": effort.threads,
                "timeout": effort.timeout,
                "answer": str(file),
            }
            return Process(task, interpreter(methods[name], effort), effort.threads)

        running = {name: start(name) for name, missing in results.items() if missing is None}
        take_turns(list(running.values()), effort)
        for name, process in running.items():
            collect(process, file, effort)
            process.close()
            results[name] = process.result
            progress(f"{problem.name}  {name}: {brief(process.result)}")
    return {name: result for name, result in results.items() if result is not None}


def interpreter(method: Method, effort: Effort) -> str:
    """Return the Python that a method runs in."""
    return sys.executable if method.package == "solvq" else effort.peer_python


def unavailable(method: Method, effort: Effort) -> Measurement | None:
    """Return why a method of this interpreter cannot run; others tell by themselves."""
    reason = method.missing() if interpreter(method, effort) == sys.executable else None
    return None if reason is None else Measurement("skipped", reason)


def take_turns(processes: Sequence[Process], effort: Effort) -> None:
    """Time each call of each process in turn, as many times over as asked."""
    for repeat in range(effort.repeats):
        for process in processes:
            for call in CALLS:
                if not process.going:
                    continue
                reply = process.ask(f"{call} {TURN_SECONDS}", 20 * effort.timeout)
                if reply is not None:
                    getattr(process.result, call).add(reply)
        progress(f"round {repeat + 1} of {effort.repeats}")


def collect(process: Process, file: Path, effort: Effort) -> None:
    """Read the arrays to be judged into the result."""
    if process.going and process.ask("answer", 20 * effort.timeout) is not None:
        with np.load(file) as arrays:
            process.result.arrays = {name: arrays[name] for name in arrays.files}


def brief(result: Measurement) -> str:
    """One line on a measurement."""
    if result.status != "ok":
        return f"{result.status}, {result.reason}"
    return f"{1e3 * min(result.training.cpu):.1f} ms"


def progress(text: str) -> None:
    """Tell whoever waits."""
    print(text, file=sys.stderr, flush=True)
