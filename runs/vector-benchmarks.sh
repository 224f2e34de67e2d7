#!/usr/bin/env bash
# What the docs quote of the vector half: layers, solvers, ablation, one run each, into reports/.
# About half an hour on one core, 5 GB. Needs `.[test,bench]`; PEERS is the interpreter of an
# environment with torch, cvxpylayers and qpth (qpth asks for numpy below 2), and PATCHES a folder
# with cifar10_lossless4k.npz: images (n, 32, 32, 3) of bytes under the name x. Both may be missing.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
out=${OUT:-reports}
figure=${FIGURE:-docs/vector-ablation.svg}
mkdir -p "$out"
export OMP_NUM_THREADS=1
run() {
    local name=$1
    shift
    "$python" -m bench "$name" "$@" --json "$out/$name.json" > "$out/$name.txt"
}
run vector-speed --repeats 3
run vector-exact --repeats 2 ${PEERS:+--peer-python "$PEERS"}
run vector-ablation --repeats 1 --rows 128 --figure "$figure" ${PATCHES:+--data-dir "$PATCHES"}
