#!/usr/bin/env bash
# Autoencoders with every bottleneck: the tables, sweeps and figures of docs/train.md.
#
#   DATA=../shared/data OUT=../runs JOBS=2 runs/autoencoders.sh cifar gtsrb sweep churches
#
# A run that was stopped goes on, one that is done is skipped, so parts can be made one by one.
# One thread a run; about 2 minutes each on one core, twice that for the exact layer.
set -euo pipefail
cd "$(dirname "$0")/.."
DATA=${DATA:?folder with cifar10_jpeg75_60k.npz, gtsrb32_third.npz, imagenette_church224.zip}
OUT=${OUT:-build/runs}
JOBS=${JOBS:-1}
export OMP_NUM_THREADS=1
mkdir -p "$OUT"

CIFAR=$OUT/cifar10.npz
GTSRB=$DATA/gtsrb32_third.npz
CHURCHES=$DATA/imagenette_church224.zip
[ -f "$CIFAR" ] || python runs/prepare_cifar.py "$DATA" "$CIFAR"

SMALL="--steps 1500 --batch-size 32 --set width=32 --set n_blocks=1 --set dim=16 --set lr=3e-3 \
--set start=100 --set interval=150"

# folder of a run, then its arguments, one run a line
run() { echo "-o $OUT/$*"; }

seeds() { # folder, arguments: three seeds
    for seed in 0 1 2; do run "$1/$2-$seed" "${@:3}" --seed $seed; done
}

table() { # folder, data
    local small="--data $2 $SMALL"
    seeds "$1" plain --quantizer none $small
    seeds "$1" vq-ema --quantizer nearest-ema $small
    seeds "$1" relaxed --quantizer soft-convex-relaxed $small
    run "$1/vq-0" --quantizer nearest $small
    run "$1/vq-ema-replaced-0" --quantizer nearest-ema $small --set revive_every=50
    run "$1/affine-0" --quantizer affine $small --set revive_every=50
    run "$1/gumbel-0" --quantizer gumbel $small --set 'anneal.tau=[1,0.0625]'
    run "$1/rq-0" --quantizer residual $small
    run "$1/sq-vae-0" --quantizer stochastic --objective log-mse $small
    run "$1/fsq-0" --quantizer finite-scalar $small
    run "$1/sparse-0" --quantizer soft-convex-sparse $small
    seeds "$1" exact --quantizer soft-convex $small --set options.alpha=0.01
}

variants() { # what the penalty and replacement change, on CIFAR-10
    local small="--data $CIFAR $SMALL"
    run cifar/relaxed-small-alpha-0 --quantizer soft-convex-relaxed $small \
        --set options.alpha=0.01
    run cifar/exact-large-alpha-0 --quantizer soft-convex $small --set options.alpha=0.1
    run cifar/exact-replaced-0 --quantizer soft-convex $small --set options.alpha=0.01 \
        --set revive_every=50
    run cifar/exact-wide-0 --quantizer soft-convex $small --set options.alpha=0.01 --set dim=64
}

each() { # folder, arguments: the three methods that the sweeps compare
    run "$1-vq-ema" --quantizer nearest-ema "${@:2}"
    run "$1-relaxed" --quantizer soft-convex-relaxed "${@:2}"
    run "$1-exact" --quantizer soft-convex --set options.alpha=0.01 "${@:2}"
}

sweep() {
    local half="--data $CIFAR ${SMALL/--steps 1500/--steps 750}"
    for codes in 32 128 512; do
        each "sweep/codes-$codes" $half --n-codes $codes
    done
    for halvings in 1 2 3; do
        run "sweep/halvings-$halvings-plain" --quantizer none $half --set n_down=$halvings
    done
    for halvings in 1 3; do # codes-128 are those of 2 halvings
        each "sweep/halvings-$halvings" $half --set n_down=$halvings
    done
}

churches() { # photographs of churches, 64 pixels, by VQGANs; the GPU's command is in docs/train.md
    local gan="--data $CHURCHES --size 64 --model vqgan --objective adversarial --steps 400
        --batch-size 8 --set width=16 --set n_blocks=1 --set n_down=2 --set lr=1e-3 --set warmup=20
        --set start=20 --set interval=100 --set objective_options.perceptual=efficientnet-lite0
        --set objective_options.discriminator_width=32"
    run churches/vq-ema --quantizer nearest-ema $gan
    run churches/exact --quantizer soft-convex $gan
    run churches/plain --quantizer none $gan
}

for part in "$@"; do
    case $part in
        cifar) table cifar "$CIFAR"; variants ;;
        gtsrb) table gtsrb "$GTSRB" ;;
        sweep) sweep ;;
        churches) churches ;;
        *) echo "unknown part $part; give cifar, gtsrb, sweep or churches" >&2; exit 2 ;;
    esac
done | xargs -P "$JOBS" -L 1 solvq train
