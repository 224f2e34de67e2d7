"""Make a training set of CIFAR-10 (JPEG-75) that shares no image with the exact subset.

    python runs/prepare_cifar.py DATA_FOLDER OUT.npz

DATA_FOLDER holds ``cifar10_lossless4k.npz`` (4,000 training images, exact) and
``cifar10_jpeg75_60k.npz`` (all images as JPEG of quality 75, in another order). Each exact image
has a copy in the second file; training on it would make the exact images no test. The copy is found
as the nearest neighbour: candidates by the distance of 8 x 8 means, which is a lower bound of the
distance of the images, then the full distance. OUT.npz gets ``x_train``, the training images of
the second file without these copies, and ``x_test``, the exact images.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from solvq.train.data import open_images

BLOCK = 4
CANDIDATES = 16
ROWS = 500


def means(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the means over blocks of 4 x 4 pixels, flat, scaled to bound distances from below."""
    n_images, edge = images.shape[:2]
    blocks = images.reshape(n_images, edge // BLOCK, BLOCK, edge // BLOCK, BLOCK, 3)
    flat = blocks.mean((2, 4), dtype=np.float32).reshape(n_images, -1)
    return flat * BLOCK


def nearest(
    wanted: NDArray[np.uint8], pool: NDArray[np.uint8]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], int]:
    """Find the nearest image of a pool for each image, and the second nearest.

    Returns
    -------
    tuple
        Index of the nearest; mean squared error to it and to the second; and for how many images
        the candidates do not prove the nearest to be so (their bound is below its distance).
    """
    small, all_small = means(wanted), means(pool)
    norms = (all_small**2).sum(1)
    best = np.empty(len(wanted), np.int64)
    first, second = np.empty(len(wanted)), np.empty(len(wanted))
    unproven = 0
    for start in range(0, len(wanted), ROWS):
        part = small[start : start + ROWS]
        bounds = (part**2).sum(1)[:, None] + norms - 2 * part @ all_small.T
        near = np.argpartition(bounds, CANDIDATES, 1)[:, : CANDIDATES + 1]
        for row, places in enumerate(near):
            difference = pool[places].astype(np.float32) - wanted[start + row]
            squares = (difference**2).sum((1, 2, 3))
            order = np.argsort(squares)
            best[start + row] = places[order[0]]
            first[start + row], second[start + row] = squares[order[:2]]
            unproven += bool(bounds[row, places].max() < squares[order[0]])
    return best, first / wanted[0].size, second / wanted[0].size, unproven


def main() -> None:
    """Find the copies, leave them out, write the rest and say what was done."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_folder", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    exact_file = arguments.data_folder / "cifar10_lossless4k.npz"
    jpeg_file = arguments.data_folder / "cifar10_jpeg75_60k.npz"
    with np.load(exact_file) as archive:
        exact, classes = archive["x"], archive["y"]
    with np.load(jpeg_file) as archive:
        pool_classes = archive["label"][~archive["is_test"]]
    train = open_images(jpeg_file).train
    pool = train.batch(np.arange(len(train)))
    print(f"{len(exact)} exact images, {len(pool)} JPEG-75 images for training")
    best, first, second, unproven = nearest(exact, pool)
    ratio = second / first
    print(f"nearest: mean squared error {np.median(first):.1f} (median), {first.max():.1f} (most)")
    print(f"second nearest: {np.median(second):.1f} (median), {second.min():.1f} (least)")
    print(f"second / nearest: {np.median(ratio):.1f} (median), {ratio.min():.2f} (least)")
    print(f"{len(np.unique(best))} different copies; {unproven} not proven nearest by the bound")
    same = int((pool_classes[best] == classes).sum())
    print(f"{same} of {len(exact)} copies have the class of their image (not used in the search)")
    kept = np.ones(len(pool), bool)
    kept[best] = False
    np.savez(arguments.out, x_train=pool[kept], x_test=exact)
    print(f"{arguments.out}: {kept.sum()} images to train on, {len(exact)} exact ones to test on")


if __name__ == "__main__":
    main()
