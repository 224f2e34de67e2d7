"""CPU seconds, wall seconds and peak memory of one call; needs nothing but the standard library."""

import contextlib
import gc
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def use_processors(number: int) -> None:
    """Stay on so many processors: a package may start threads whatever its variables say."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-number:])


def reset_peak() -> None:
    """Ask Linux to forget the highest resident size so far; elsewhere nothing happens."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def memory(field: str) -> int:
    """Return ``VmRSS`` or ``VmHWM`` in bytes; off Linux the all-time peak stands for both."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    line = next(line for line in status.splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


def timed(call: Callable[[], T], timeout: float) -> tuple[T, dict[str, float]]:
    """Call once; the kernel ends this process (SIGALRM) after `timeout` seconds of wall time.

    Not ITIMER_PROF or RLIMIT_CPU: while a limit on CPU time is armed, Linux advances the CPU
    clock of the process in ticks of milliseconds, and short calls appear to take no time.
    """
    gc.collect()
    reset_peak()
    before = memory("VmRSS" if sys.platform == "linux" else "VmHWM")
    signal.setitimer(signal.ITIMER_REAL, timeout)
    wall, cpu = time.perf_counter(), time.process_time()
    fit = call()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    signal.setitimer(signal.ITIMER_REAL, 0)
    return fit, {"cpu": cpu, "wall": wall, "extra": memory("VmHWM") - before}
