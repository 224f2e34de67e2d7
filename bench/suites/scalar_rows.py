"""``scalar-rows``: one codebook for each row of a matrix, with and without weights."""

from bench.problem import Problem
from bench.report import claim, labels, number, percent
from bench.suites._scalar import ScalarSuite

COLUMNS = 4096
ROWS, QUICK_ROWS = 4096, 128
SAMPLE_ROWS, QUICK_SAMPLE_ROWS = 64, 8
N_VALUES = 16


def problems(quick: bool, slow: bool, seed: int) -> list[Problem]:
    """List the two problems; ``quick`` takes fewer rows, ``slow`` changes nothing."""
    rows, sample = (QUICK_ROWS, QUICK_SAMPLE_ROWS) if quick else (ROWS, SAMPLE_ROWS)
    return [
        Problem("normal", (rows, COLUMNS), N_VALUES, weighted, seed, slow, sample)
        for weighted in (False, True)
    ]


SUITE = ScalarSuite(
    summary="a codebook for each row of 4096 values, k = 16, without and with weights",
    problems=problems,
    methods=("ours", "ckwrap", "flash1dkmeans", "flash1dkmeans-fast", "scikit-learn"),
    columns=(
        ("method", lambda row: row.method),
        ("exact", claim),
        ("labels", labels),
        ("rows", lambda row: str(row.rows)),
        ("us / weight", lambda row: number(row.microseconds_per_value)),
        ("first us", lambda row: number(row.microseconds_per_value * row.first_cpu / row.cpu)),
        ("/ np.sort", lambda row: number(row.sort_ratio)),
        ("/ ours", lambda row: number(row.ours_ratio)),
        ("extra MB", lambda row: number(row.extra_mb)),
        ("excess", lambda row: percent(row.score.excess_mean)),
        ("worst row", lambda row: percent(row.score.excess_max)),
        ("runs", lambda row: str(row.runs)),
    ),
    notes="""\
rows         ours: the whole matrix in one call; the others: a loop over the first rows
us / weight  CPU time (all threads added up, best of the runs) divided by the number of weights
first us     the same from the first of the runs
/ np.sort    divided by the best CPU time of np.sort of the same rows, same process
extra MB     highest resident memory during the call minus before it: grows with the rows
excess       mean and worst over the first rows (those the loops got) of the distortion over the
             best known one, computed by bench/objective.py
labels       "none": the method does not return them, and its time does not include them
weighted     positive weights, lognormal(0, 1)""",
)
