"""``python -m bench SUITE``: run a benchmark or study, print its tables, write what it gave."""

import argparse
import sys

from bench.suites import SUITES

EXAMPLES = """\
examples:
  python -m bench scalar-exact --quick
  python -m bench scalar-exact --only normal/1000000/256 --slow --json exact.json
  python -m bench scalar-rows --methods ours,ckwrap
"""


def parser() -> argparse.ArgumentParser:
    """Build the command line: a subcommand a suite."""
    command = argparse.ArgumentParser(
        prog="python -m bench",
        description="Compare solvq with other packages, and make its studies again.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = command.add_subparsers(dest="suite", metavar="SUITE", required=True)
    for name, suite in SUITES.items():
        suite.add_arguments(names.add_parser(name, help=suite.summary, description=suite.summary))
    return command


def main() -> int:
    """Run a suite; the exit code is 1 if solvq failed or a claim of its own proved wrong."""
    options = parser().parse_args()
    return SUITES[options.suite].run(options)


if __name__ == "__main__":
    sys.exit(main())
