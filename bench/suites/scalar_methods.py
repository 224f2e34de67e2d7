"""``scalar-methods``: every method of solvq's own table on a vector, beside the optimum."""

from bench.methods import METHODS
from bench.problem import Problem
from bench.report import Row, labels, number
from bench.suites._scalar import ScalarSuite

DATASETS = ("normal", "integers")
SIZES = (10_000, 1_000_000)
N_VALUES = (16, 256)


def problems(quick: bool, slow: bool, seed: int) -> list[Problem]:
    """List the problems, small ones first; ``quick`` keeps the smallest size."""
    return [
        Problem(dataset, (size,), n_values, seed=seed, allow_slow=slow)
        for size in (SIZES[:1] if quick else SIZES)
        for dataset in DATASETS
        for n_values in N_VALUES
    ]


def over_best(row: Row) -> str:
    """Write the distortion over the best one of at most k values, which is the optimum."""
    return number(1.0 + row.score.excess_max)


SUITE = ScalarSuite(
    summary="every method of solvq.scalar.METHODS, n = 1e4 and 1e6, k = 16 and 256",
    problems=problems,
    methods=("ours", *(name for name in METHODS if name.startswith("solvq-")), "isotonic"),
    columns=(
        ("method", lambda row: row.method),
        ("labels", labels),
        ("CPU s", lambda row: number(row.cpu)),
        ("/ np.sort", lambda row: number(row.sort_ratio)),
        ("/ ours", lambda row: number(row.ours_ratio)),
        ("extra MB", lambda row: number(row.extra_mb)),
        ("values", lambda row: str(row.n_values)),
        ("/ best", over_best),
        ("runs", lambda row: str(row.runs)),
    ),
    notes="""\
ours            optimal
solvq-l1        follows the whole path of merges down to the wanted count
solvq-l1-alpha  one penalty, 1e-6, whatever the count; `isotonic` solves the same problem, no labels
CPU s           best of the runs, all threads added up, after a warm-up on 4096 of the values
/ np.sort       divided by the best CPU time of np.sort of the same values as float32, same process
values          entries of the codebook
/ best          distortion of the codebook over the best one of at most k values, computed by
                bench/objective.py; below 1 where the codebook has more than k values""",
)
