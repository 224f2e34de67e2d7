"""``scalar-exact``: one optimal codebook for a vector, against exact and heuristic packages."""

from bench.problem import Problem
from bench.report import claim, labels, number, percent
from bench.suites._scalar import ScalarSuite

DATASETS = ("normal", "student", "integers", "bfloat16")
SIZES = (10_000, 100_000, 1_000_000)
LARGEST = 10_000_000
N_VALUES = (16, 256)


def problems(quick: bool, slow: bool, seed: int) -> list[Problem]:
    """List the problems, small ones first; ``quick`` keeps the smallest size, ``slow`` adds 1e7."""
    sizes = SIZES[:1] if quick else SIZES
    largest = [Problem("normal", (LARGEST,), k, seed=seed, allow_slow=True) for k in N_VALUES]
    return [
        Problem(dataset, (size,), n_values, seed=seed, allow_slow=slow)
        for size in sizes
        for n_values in N_VALUES
        for dataset in DATASETS
    ] + largest * slow


SUITE = ScalarSuite(
    summary="n = 1e4, 1e5, 1e6 values, k = 16 and 256, four data sets",
    problems=problems,
    methods=(
        "ours",
        "ckmeans",
        "ckwrap",
        "kmeans1d",
        "fast1dkmeans",
        "flash1dkmeans",
        "flash1dkmeans-fast",
        "scikit-learn",
    ),
    columns=(
        ("method", lambda row: row.method),
        ("exact", claim),
        ("labels", labels),
        ("CPU s", lambda row: number(row.cpu)),
        ("first s", lambda row: number(row.first_cpu)),
        ("/ np.sort", lambda row: number(row.sort_ratio)),
        ("/ hist", lambda row: number(row.histogram_ratio)),
        ("/ ours", lambda row: number(row.ours_ratio)),
        ("extra MB", lambda row: number(row.extra_mb)),
        ("excess", lambda row: percent(row.score.excess_max)),
        ("runs", lambda row: str(row.runs)),
    ),
    notes="""\
CPU s      best of the runs, all threads added up, after a warm-up on 4096 of the values
first s    the first of these runs: what a user pays who has one array (memory still untouched)
/ np.sort  divided by the best CPU time of np.sort of the same values as float32, same process
/ hist     divided by the best CPU time of our own histogram of the 16-bit patterns, same process
extra MB   highest resident memory during the call minus resident memory before it, with the result
excess     distortion of the codebook over the best known one, computed by bench/objective.py
labels     "none": the method does not return them, and its time does not include them
bfloat16   ours gets bfloat16, the others float32 converted before the clock starts; the error of
           ours is that of the estimator's float64 codebook, fitted outside the timed region""",
)
