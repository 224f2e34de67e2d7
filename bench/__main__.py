"""``python -m bench SUITE``: run a benchmark, print its tables, write them as JSON if wanted."""

import argparse
import json
import sys
from pathlib import Path

from bench.environment import environment, environment_text
from bench.measure import Effort, Measurement, measure
from bench.methods import METHODS
from bench.objective import judge
from bench.problem import Problem
from bench.report import Outcome, as_json, number, outcome_text
from bench.suites import SUITES

EXAMPLES = """\
examples:
  python -m bench scalar-exact --quick
  python -m bench scalar-exact --only normal/1000000/256 --slow --json exact.json
  python -m bench scalar-rows --methods ours,ckwrap
"""
TIMEOUT, SLOW_TIMEOUT = 60.0, 600.0


def parser() -> argparse.ArgumentParser:
    """Build the command line."""
    suites = "\n".join(f"  {name:14}{suite.summary}" for name, suite in SUITES.items())
    command = argparse.ArgumentParser(
        prog="python -m bench",
        description=f"Compare solvq with other packages, each run in its own process.\n\n"
        f"suites:\n{suites}",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = command.add_argument
    add("suite", choices=list(SUITES), metavar="SUITE", help="one of the suites above")
    add("--quick", action="store_true", help="smallest sizes only (about two minutes)")
    add("--slow", action="store_true", help="also runs of minutes and several GB of memory")
    add("--methods", metavar="A,B", help=f"some of: {', '.join(METHODS)}")
    add("--only", metavar="TEXT", default="", help="problems whose name contains TEXT")
    add("--repeats", type=int, default=5, metavar="N", help="runs, at least (default 5)")
    add("--timeout", type=float, metavar="T", help="wall s allowed for a run (60; 600 with --slow)")
    add(
        "--threads",
        type=int,
        default=1,
        metavar="N",
        help="processors and threads allowed (default 1)",
    )
    add("--seed", type=int, default=0, metavar="N", help="of the data (default 0)")
    add("--json", type=Path, metavar="FILE", help="also write everything to FILE")
    return command


def chosen_methods(names: str | None, suite: tuple[str, ...]) -> list[str]:
    """Return the methods to run; ours stays first, since it is what the others are divided by."""
    if names is None:
        return list(suite)
    wanted = [name.strip() for name in names.split(",")]
    unknown = sorted(set(wanted) - set(METHODS))
    if unknown:
        raise SystemExit(f"unknown methods {unknown}; choose from {', '.join(METHODS)}")
    return sorted(wanted, key=list(METHODS).index)


def run(problem: Problem, methods: list[str], effort: Effort) -> Outcome:
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


def main() -> int:
    """Run a suite; the exit code is 1 if solvq failed or missed the optimum somewhere."""
    options = parser().parse_args()
    suite = SUITES[options.suite]
    methods = chosen_methods(options.methods, suite.methods)
    timeout = options.timeout or (SLOW_TIMEOUT if options.slow else TIMEOUT)
    effort = Effort(options.repeats, timeout, options.threads)
    problems = suite.problems(options.quick, options.slow, options.seed)
    problems = [problem for problem in problems if options.only in problem.name]
    if not problems:
        raise SystemExit(f"--only {options.only!r} leaves no problem")
    facts = environment(methods, options.seed, options.threads)
    print(f"{options.suite}: {suite.summary}\n\n{environment_text(facts)}\n", flush=True)
    outcomes: list[Outcome] = []
    try:
        for problem in problems:
            outcomes.append(run(problem, methods, effort))
            print(outcome_text(outcomes[-1], suite.columns), end="\n\n", flush=True)
    except KeyboardInterrupt:
        print("interrupted: the rest was not run", file=sys.stderr)
    print(suite.notes)
    if options.json is not None:
        options.json.write_text(json.dumps(as_json(outcomes, facts), indent=1) + "\n")
    return int(any(broken(outcome) for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
