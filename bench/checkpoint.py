"""``python -m bench.checkpoint MODEL``: a real model file through solvq and through k-means.

Each method runs in a process of its own, after a warm-up on a small file. The squared errors are
computed here, from the original and the restored tensors, for both methods alike; k-means is
scikit-learn's with one start per tensor, the way per-tensor palettizers use it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from bench.environment import environment, environment_text
from bench.report import lines_up, number
from bench.timing import timed
from solvq import checkpoint

METHODS = ("optimal", "kmeans")
TIMEOUT = 3600.0
EXAMPLE = """\
example:
  python -m bench.checkpoint --n-values 16 --json build/checkpoint.json
"""


def demo_model() -> Path:
    """Return the model of ``make demo``."""
    try:
        found = [file for file in files("g2p-en") or [] if file.name == "checkpoint20.npz"]
    except PackageNotFoundError:
        found = []
    if not found:
        raise SystemExit("give a MODEL, or run `make demo` once: it installs g2p-en")
    return Path(str(found[0].locate()))


def relative_error(model: Path, restored: dict[str, Any], names: list[str]) -> float:
    """Return the squared error of the named tensors over their sum of squares."""
    original = np.load(model) if model.suffix == ".npz" else load_file(model)
    error = energy = 0.0
    for name in names:
        x = original[name].astype(np.float64)
        error += float(((x - restored[name].astype(np.float64)) ** 2).sum())
        energy += float((x**2).sum())
    return error / energy


def worker(task: dict[str, Any]) -> dict[str, Any]:
    """Compress one model by one method, `repeats` times; the figures of the fastest run."""
    folder = Path(task["folder"])
    small, packed = folder / "small.safetensors", folder / "model.solvq.safetensors"
    settings = {key: task[key] for key in ("n_values", "layout", "method")}
    rng = np.random.default_rng(0)
    save_file({"w": rng.standard_normal((64, 64)).astype(np.float32)}, small)
    checkpoint.compress(small, packed, n_jobs=task["threads"], **settings)
    runs = []
    for _ in range(task["repeats"]):
        report, run = timed(
            lambda: checkpoint.compress(
                task["model"], packed, force=True, n_jobs=task["threads"], **settings
            ),
            TIMEOUT,
        )
        runs.append(run)
    proved = checkpoint.inspect(packed, original=task["model"])
    names = [tensor.name for tensor in report.compressed]
    largest = max(tensor.nbytes_before for tensor in report.tensors)
    return {
        "cpu": min(run["cpu"] for run in runs),
        "wall": min(run["wall"] for run in runs),
        "extra_bytes": max(run["extra"] for run in runs),
        "largest_tensor": largest,
        "relative_error": relative_error(Path(task["model"]), checkpoint.load(packed), names),
        "gap": proved.gap,
        "bits_per_weight": report.bits_per_weight,
        "before": report.nbytes_before,
        "after": report.nbytes_after,
    }


def compare(options: argparse.Namespace, model: Path) -> dict[str, dict[str, Any]]:
    """Run every method in a fresh process."""
    results = {}
    for method in METHODS:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            task = {
                "model": str(model),
                "folder": folder,
                "method": method,
                "n_values": options.n_values,
                "layout": options.per,
                "repeats": options.repeats if method == "optimal" else 1,
                "threads": options.threads,
            }
            process = subprocess.run(
                [sys.executable, "-m", "bench.checkpoint", "--worker"],
                input=json.dumps(task),
                capture_output=True,
                text=True,
                check=False,
            )
        if process.returncode:
            raise SystemExit(f"{method} failed: {process.stderr.strip().splitlines()[-1]}")
        results[method] = json.loads(process.stdout)
        print(f"{method}: {number(results[method]['wall'])} s", file=sys.stderr, flush=True)
    return results


def table(results: dict[str, dict[str, Any]]) -> str:
    """Write the figures for people."""
    ours = results["optimal"]
    title = (
        "method|wall s|CPU s|/ ours|extra / largest tensor|bits|bytes|relative error|above bound"
    )
    rows = [tuple(title.split("|"))]
    for method, r in results.items():
        rows.append(
            (
                method,
                number(r["wall"]),
                number(r["cpu"]),
                number(r["cpu"] / ours["cpu"]),
                number(r["extra_bytes"] / r["largest_tensor"]),
                number(r["bits_per_weight"]),
                f"{r['before']} -> {r['after']}",
                f"{r['relative_error']:.6g}",
                f"{100 * r['gap']:.2g} %",
            )
        )
    return "\n".join(lines_up(rows))


def main() -> int:
    """Compare the methods on a model and print the table."""
    command = argparse.ArgumentParser(
        prog="python -m bench.checkpoint",
        description=__doc__.splitlines()[0] if __doc__ else None,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = command.add_argument
    add("model", nargs="?", type=Path, help=".safetensors or .npz (default: that of make demo)")
    add("--n-values", type=int, default=16, metavar="K", help="table entries (default 16)")
    add("--layout", default="tensor", help="tensor, row or group:N (default tensor)")
    add("--repeats", type=int, default=3, metavar="N", help="runs of ours (default 3)")
    add("--threads", type=int, default=1, metavar="N", help="threads (default 1)")
    add("--json", type=Path, metavar="FILE", help="also write everything to FILE")
    add("--worker", action="store_true", help=argparse.SUPPRESS)
    options = command.parse_args()
    if options.worker:
        print(json.dumps(worker(json.load(sys.stdin))))
        return 0
    model = options.model or demo_model()
    facts = environment(["solvq", "scikit-learn"], 0, options.threads)
    facts["command"] = facts["command"].replace("bench ", "bench.checkpoint ", 1)
    print(f"{model.name}, {options.n_values} values per {options.per}")
    print(f"\n{environment_text(facts)}\n", flush=True)
    results = compare(options, model)
    print(table(results))
    print("\nextra     highest resident memory during the call minus resident memory before it")
    print("bound     the lower bound that solvq proves for tables of this size")
    if options.json is not None:
        options.json.write_text(json.dumps({"environment": facts, "results": results}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
