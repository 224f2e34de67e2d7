#!/usr/bin/env bash
# Four autoencoders on photographs, about three minutes in all: what each bottleneck costs.
#
#   examples/train.sh [FOLDER]     (make demo-train does it)
set -euo pipefail
folder=${1:-build/demo-train}
small="--data photos --steps 400 --batch-size 32 --set width=32 --set n_blocks=1 --set dim=16
    --set lr=3e-3 --set start=100"

solvq train --quantizer none $small -o "$folder/plain"
solvq train --quantizer nearest-ema $small -o "$folder/vq-ema"
solvq train --quantizer soft-convex-relaxed $small -o "$folder/relaxed"
solvq train --quantizer soft-convex --set options.alpha=0.01 $small -o "$folder/exact"
solvq eval "$folder"/{plain,vq-ema,relaxed,exact} --n-images 500 --features none --table --plot "$folder/figures"
