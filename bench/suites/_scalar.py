"""Suites of scalar problems: every method on every problem, each run in its own process."""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import final

from bench.environment import environment, environment_text
from bench.measure import Effort, Measurement, measure
from bench.methods import METHODS
from bench.objective import judge
from bench.problem import Problem
from bench.report import Column, Outcome, as_json, number, outcome_text
from bench.suites._base import Suite

TIMEOUT, SLOW_TIMEOUT = 60.0, 600.0


@final
@dataclass(frozen=True)
class ScalarSuite(Suite):
    """Methods that meet problems.

    Parameters
    ----------
    summary : str
        One line for ``--help``.
    problems : callable
        ``problems(quick, slow, seed)`` returns the list of problems.
    methods : tuple of str
        Keys of `bench.methods.METHODS`, ours first.
    columns : tuple of (str, callable)
        Titles, and how to write each cell.
    notes : str
        Printed under the tables: what the columns mean and what is not measured.
    """

    summary: str
    problems: Callable[[bool, bool, int], list[Problem]]
    methods: tuple[str, ...]
    columns: tuple[Column, ...]
    notes: str

    def add_arguments(self, command: argparse.ArgumentParser) -> None:
        """Add what to run, and how often."""
        add = command.add_argument
        add("--quick", action="store_true", help="smallest sizes only (about two minutes)")
        add("--slow", action="store_true", help="also runs of minutes and several GB of memory")
        add("--methods", metavar="A,B", help=f"some of: {', '.join(METHODS)}")
        add("--only", metavar="TEXT", default="", help="problems whose name contains TEXT")
        add("--repeats", type=int, default=5, metavar="N", help="runs, at least (default 5)")
        add("--timeout", type=float, metavar="T", help="wall s for a run (60; 600 with --slow)")
        add("--threads", type=int, default=1, metavar="N", help="processors allowed (default 1)")
        add("--seed", type=int, default=0, metavar="N", help="of the data (default 0)")
        add("--json", type=Path, metavar="FILE", help="also write everything to FILE")

    def run(self, options: argparse.Namespace) -> int:
        """Run all problems; 1 if solvq failed or missed the optimum somewhere."""
        methods = chosen_methods(options.methods, self.methods)
        timeout = options.timeout or (SLOW_TIMEOUT if options.slow else TIMEOUT)
        effort = Effort(options.repeats, timeout, options.threads)
        problems = self.problems(options.quick, options.slow, options.seed)
        problems = [problem for problem in problems if options.only in problem.name]
        if not problems:
            raise SystemExit(f"--only {options.only!r} leaves no problem")
        packages = [METHODS[name].package for name in methods]
        facts = environment(packages, options.seed, options.threads)
        print(f"{options.suite}: {self.summary}\n\n{environment_text(facts)}\n", flush=True)
        outcomes: list[Outcome] = []
        try:
            for problem in problems:
                outcomes.append(meet(problem, methods, effort))
                print(outcome_text(outcomes[-1], self.columns), end="\n\n", flush=True)
        except KeyboardInterrupt:
            print("interrupted: the rest was not run", file=sys.stderr)
        print(self.notes)
        if options.json is not None:
            options.json.write_text(json.dumps(as_json(outcomes, facts), indent=1) + "\n")
        return int(any(broken(outcome) for outcome in outcomes))


def chosen_methods(names: str | None, suite: tuple[str, ...]) -> list[str]:
    """Return the methods to run; ours stays first, since it is what the others are divided by."""
    if names is None:
        return list(suite)
    wanted = [name.strip() for name in names.split(",")]
    unknown = sorted(set(wanted) - set(METHODS))
    if unknown:
        raise SystemExit(f"unknown methods {unknown}; choose from {', '.join(METHODS)}")
    return sorted(wanted, key=list(METHODS).index)


def meet(problem: Problem, methods: list[str], effort: Effort) -> Outcome:
    """Measure all methods on one problem, then judge them together; progress on stderr."""
    answers: dict[str, Measurement] = {}
    for name in methods:
        answer = answers[name] = measure(METHODS[name], problem, effort)
        done = f"{number(min(answer.cpu))} s" if answer.cpu else f"{answer.status}, {answer.reason}"
        print(f"{problem.name}  {name}: {done}", file=sys.stderr, flush=True)
    return Outcome(problem, answers, judge(problem, answers))


def broken(outcome: Outcome) -> bool:
    """Tell whether solvq itself failed here; no judgement of times."""
    ours = outcome.answers.get("ours")
    failed = ours is not None and ours.status == "failed"
    score = outcome.verdict.scores.get("ours")
    return failed or outcome.verdict.refuted or (score is not None and not score.optimal)
