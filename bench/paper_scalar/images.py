"""Part 2: pictures of digits: loss, what they look like, both ends of the range, clipping."""

from __future__ import annotations

import numpy as np

from bench.paper_scalar.fits import fit_all
from bench.paper_scalar.objective import Judge
from bench.paper_scalar.study import Array, Entry, Record, Study, entries

N_IMAGES = 5
SHOWN = ("optimal", "adaptive-l1", "kmeans", "l1", "l1, no refit", "uniform")
SHOWN_COUNTS = (2, 4, 8)
COUNTS = (2, 3, 4, 8, 16, 32, 64)
CLIPPED = 8
ADMISSIBLE = 0.1
"""The clipping range leaves out this share of the grey scale at both of its ends."""


def run(study: Study) -> Record:
    """Quantize single pictures by every method, with and without counts."""
    records: list[Record] = []
    shown: list[Record] = []
    for name, images, top in collections(study):
        judges = [Judge(image) for image in images]
        for n_values in study.counts(COUNTS):
            kept = [judge for judge in judges if judge.distinct > n_values + 1]
            for entry in entries() if kept else []:
                records += judged(study, name, kept, n_values, entry)
        for judge in judges:
            for entry in entries():
                records += judged(study, name, [judge], judge.distinct - 1, entry)
        shown += pictures(study, name, images[0])
        records += clipped(study, name, judges, top)
        study.say(f"images: {name}")
    return {"records": records, "pictures": shown}


def collections(study: Study) -> list[tuple[str, list[Array], float]]:
    """Return name, pictures and white level of each collection; float64, so that values are free.

    The pictures are the first of the digits 0, 1, 2, ... in the order of the data.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    sets = [("load_digits", digits.images, digits.target, 16.0)]
    if study.full:
        with study.data("mnist_full.npz") as data:
            sets.insert(0, ("MNIST", data["x_test"], data["y_test"], 255.0))
    else:
        study.note("MNIST was left out: it is part of the full study")
    size = 2 if study.quick else N_IMAGES
    return [
        (name, [x[np.argmax(y == label)].astype(np.float64) for label in range(size)], top)
        for name, x, y, top in sets
    ]


def judged(
    study: Study, name: str, judges: list[Judge], n_values: int, entry: Entry
) -> list[Record]:
    """Quantize pictures, a codebook each, with the counts of their grey levels, and without."""
    records = []
    for unweighted in (False, True):
        told = entry._replace(parameters=entry.parameters | {"unweighted": unweighted})
        fit = fit_all(study, [(judge.x, None) for judge in judges], n_values, told)
        for i, judge in enumerate(judges):
            record: Record = {"set": name, "method": entry.name, "n_values": n_values}
            record |= {"kind": "loss", "weighting": "unweighted" if unweighted else "counts"}
            record |= {"distinct": judge.distinct, "status": fit.status}
            if fit.ok:
                record |= judge.score(fit.codebooks[i], fit.indices[i], n_values)
                record |= {"outside": judge.outside(fit.codebooks[i]), "seconds": fit.seconds[i]}
            records.append(record)
    return records


def pictures(study: Study, name: str, image: Array) -> list[Record]:
    """Return the first picture as each of some methods draws it, for people to look at."""
    drawn: list[Record] = [{"set": name, "method": "original", "n_values": 0}]
    drawn[0] |= {"pixels": image.round(1).tolist(), "ratio": None}
    judge = Judge(image)
    for entry in (entry for entry in entries() if entry.name in SHOWN):
        for n_values in SHOWN_COUNTS:
            fit = fit_all(study, [(image, None)], n_values, entry)
            if fit.ok:
                decoded = fit.codebooks[0][fit.indices[0]].reshape(image.shape)
                score = judge.score(fit.codebooks[0], fit.indices[0], n_values)
                record = {"set": name, "method": entry.name, "n_values": n_values}
                drawn.append(
                    record | {"pixels": decoded.round(1).tolist(), "ratio": score["ratio"]}
                )
    return drawn


def clipped(study: Study, name: str, judges: list[Judge], top: float) -> list[Record]:
    """Quantize with an admissible range: the grey scale, and one narrower than the data.

    ``moved`` counts the entries that the range changed, ``cost`` is the distortion over that
    without a range.
    """
    ranges = {"grey scale": (0.0, top), "narrow": (ADMISSIBLE * top, (1 - ADMISSIBLE) * top)}
    tensors = [(judge.x, None) for judge in judges]
    records = []
    for entry in entries():
        free = fit_all(study, tensors, CLIPPED, entry)
        for title, (low, high) in ranges.items():
            limits = entry._replace(parameters=entry.parameters | {"clip": (low, high)})
            held = fit_all(study, tensors, CLIPPED, limits)
            if not (free.ok and held.ok):
                continue
            scores = [
                [judge.score(fit.codebooks[i], fit.indices[i], CLIPPED) for fit in (free, held)]
                for i, judge in enumerate(judges)
            ]
            cost = [after["distortion"] / before["distortion"] for before, after in scores]
            books = np.concatenate(free.codebooks)
            record: Record = {"kind": "clip", "set": name, "method": entry.name, "range": title}
            record |= {"moved": int(np.sum((books < low) | (books > high))), "entries": books.size}
            records.append(record | {"cost": float(np.exp(np.mean(np.log(cost))))})
    return records
