"""Part 4: the claims of the paper one by one, each as records that a table and a figure show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import solvq
from bench.paper_scalar.fits import fit_all
from bench.paper_scalar.local_search import local_l0_path, means, textbook_lloyd
from bench.paper_scalar.networks import available, mlp
from bench.paper_scalar.objective import Judge, distortion
from bench.paper_scalar.study import Array, Entry, Record, Study, entries
from solvq.scalar import METHODS

SIZE = 640
SEEDS = 50
RANDOM = ("kmeans", "cluster-ls", "mixture")
SPARSE = ("l1", "iterative-l1", "adaptive-l1")


def run(study: Study) -> Record:
    """Check every claim."""
    sets = samples(study)
    records: list[Record] = []
    checks = (seeds, misplaced, cost, crossover, cluster_ls, local_search, even_spacing)
    for check in (*checks, squares, schedule, small_layer):
        records += [{"claim": check.__name__} | record for record in check(study, sets)]
        study.say(f"claims: {check.__name__}")
    return {"records": records}


def samples(study: Study) -> dict[str, Array]:
    """Return the data of the claims: three distributions, and a layer of 640 trained weights."""
    rng = np.random.default_rng(study.seed)
    sets = {
        "normal": rng.standard_normal(SIZE),
        "uniform": rng.uniform(0, 1, SIZE),
        "laplace": rng.laplace(0, 1, SIZE),
    }
    if available("torch"):
        digits = Study(None, Path(), study.seed)
        sets["layer"] = mlp(digits).tensors["layer3"].ravel().astype(np.float64)
    else:
        study.note("the layer of 640 weights was left out: torch is not installed")
    return sets


def answer(x: Array, n_values: int, method: str, seed: int = 0, **parameters: Any) -> Any:
    """Quantize in this process, without a clock."""
    told = Entry(method, method, parameters).with_seed(seed)
    return solvq.quantize(x, n_values, method, **told)


def ratio(judge: Judge, code: Any, n_values: int) -> float:
    """Return the judge's quotient of a code and the optimum."""
    return float(judge.score(code.codebook, code.indices, n_values)["ratio"])


def own_ratio(judge: Judge, n_values: int, entry: Entry) -> float:
    """Return the judge's quotient of what the coefficients say, without a nearest assignment.

    The data are then decoded as the step basis times the coefficients of the method.
    """
    model = METHODS[entry.method](n_values, **entry.parameters).fit(judge.x[:, None])
    u = np.unique(judge.x)
    decoded = np.cumsum(model.coef_ * np.diff(u, prepend=0.0))
    reached = distortion(u, None, decoded, np.arange(u.size))
    return reached / judge.optimum(n_values)[0]


def seeds(study: Study, sets: dict[str, Array]) -> list[Record]:
    """Spread of the error over 50 seeds."""
    number, records = 5 if study.quick else SEEDS, []
    for data in [name for name in ("normal", "layer") if name in sets]:
        x = sets[data]
        judge = Judge(x)
        for n_values in (4, 16, 64, 256):
            for method in RANDOM:
                codes = (answer(x, n_values, method, seed) for seed in range(number))
                found = [ratio(judge, code, n_values) for code in codes]
                record = {"data": data, "n_values": n_values, "method": method}
                records.append(record | {"ratios": found})
    return records


def misplaced(study: Study, sets: dict[str, Array]) -> list[Record]:
    """Empty and missing clusters, and values outside the range of the data, over 10 seeds."""
    number, records = 3 if study.quick else 10, []
    data = sets | {"positive": np.random.default_rng(study.seed).uniform(5, 6, SIZE)}
    chosen = entries() + [
        Entry(f"{name}, anchored", name, {"penalize_first": True, "refit": False})
        for name in ("l1", "iterative-l1")
    ]
    for name, x in data.items():
        judge = Judge(x)
        for n_values in (2, 16, 64, 256):
            for entry in chosen:
                runs = range(number if entry.method in RANDOM else 1)
                books = [
                    answer(x, n_values, entry.method, seed, **entry.parameters).codebook
                    for seed in runs
                ]
                record = {"data": name, "n_values": n_values, "method": entry.name}
                records.append(record | counted(judge, books, n_values))
            rngs = (np.random.default_rng([study.seed, seed]) for seed in range(number))
            books = [textbook_lloyd(x, n_values, rng) for rng in rngs]
            record = {"data": name, "n_values": n_values, "method": "textbook k-means"}
            records.append(record | counted(judge, books, n_values))
    return records


def counted(judge: Judge, books: Sequence[Array], n_values: int) -> Record:
    """Return the mean shares of entries without data, and outside the range of the data."""
    empty = float(np.mean([judge.empty(book, n_values) / n_values for book in books]))
    outside = float(np.mean([judge.outside(book) / n_values for book in books]))
    return {"empty": empty, "outside": outside}


def cost(study: Study, sets: dict[str, Array]) -> list[Record]:
    """Time against the number of values, on 100,000 normal values."""
    size = 2000 if study.quick else 100_000
    x = np.random.default_rng(study.seed).standard_normal(size)
    records = []
    for entry in entries(shrunk=False):
        for n_values in (2, 8) if study.quick else (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024):
            fit = fit_all(study, [(x, None)], n_values, entry)
            record: Record = {"method": entry.name, "n_values": n_values, "size": size}
            if not fit.ok:
                records.append(record | {"status": fit.status})
                break
            records.append(record | {"status": "ok", "seconds": fit.seconds[0]})
    return records


def crossover(study: Study, sets: dict[str, Array]) -> list[Record]:
    """Refitted and unrefitted l1 against k-means, from few values to nearly all."""
    shares = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98)
    number, records = 2 if study.quick else 20, []
    for data, x in sets.items():
        judge = Judge(x)
        counts = sorted({4, 8, 16, 64, 128, 256, 512, *(int(s * x.size) for s in shares)})
        for n_values in counts[::4] if study.quick else counts:
            found: Record = {"data": data, "n_values": n_values, "share": n_values / x.size}
            for entry in entries():
                if entry.method.endswith("l1") or entry.method == "lloyd-max":
                    code = answer(x, n_values, entry.method, **entry.parameters)
                    found[entry.name] = ratio(judge, code, n_values)
                if entry.method == "l1":
                    found[f"{entry.name}, own"] = own_ratio(judge, n_values, entry)
            codes = (answer(x, n_values, "kmeans", seed) for seed in range(number))
            ones = [ratio(judge, code, n_values) for code in codes]
            found["kmeans x1"] = float(np.mean(ones))
            found["kmeans x10"] = float(np.mean([min(ones[i::2]) for i in range(2)]))
            records.append(found)
    return records


def cluster_ls(study: Study, sets: dict[str, Array]) -> list[Record]:
    """Cluster-LS over k-means from the same seed: converged, stopped early, and without counts."""
    number, records = 5 if study.quick else SEEDS // 2, []
    rounded = {"rounded normal": np.round(sets["normal"] * 20) / 20}
    for data, x in (sets | rounded).items():
        judge = Judge(x)
        for title, settings in {
            "converged": {"tol": 0.0, "max_iter": 1000},
            "default": {},
            "stopped after 3 steps": {"max_iter": 3},
            "unweighted": {"unweighted": True},
        }.items():
            for n_values in (8, 32):
                pairs = [
                    [
                        ratio(judge, quiet(x, n_values, method, seed, settings), n_values)
                        for method in ("cluster-ls", "kmeans")
                    ]
                    for seed in range(number)
                ]
                found = [a / b for a, b in pairs]
                record = {"data": data, "n_values": n_values, "setting": title}
                records.append(record | {"quotients": found})
    return records


def quiet(x: Array, n_values: int, method: str, seed: int, settings: dict[str, Any]) -> Any:
    """Quantize; scikit-learn's remarks on early stops are what is asked for here."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return answer(x, n_values, method, seed, **settings)


def local_search(study: Study, sets: dict[str, Array]) -> list[Record]:
    """A local-search l0 on 300 values: the counts it reaches, and how far from the optimum."""
    size, number = (40, 20) if study.quick else (300, 200)
    records = []
    for seed in range(1 if study.quick else 3):
        u = np.sort(np.random.default_rng([study.seed, seed]).standard_normal(size))
        judge, best = Judge(u), {}
        for support in local_l0_path(u, number):
            codebook = means(u, support)
            lengths = np.diff([*support, u.size])
            indices = np.repeat(np.arange(support.size), lengths)
            found = judge.score(codebook, indices, support.size)
            key = found["count"]
            best.setdefault(key, []).append(found["ratio"])
        for count, ratios in sorted(best.items()):
            record = {"seed": seed, "size": size, "count": count, "penalties": number}
            records.append(record | {"least": min(ratios), "most": max(ratios)})
    return records


def even_spacing(study: Study, sets: dict[str, Array]) -> list[Record]:
    """Failure of the l1 methods on evenly spaced values, and the repair."""
    x, records = np.arange(1.0, 257.0), []  # a first value of 0 would leave a_1 undetermined
    judge = Judge(x)
    for n_values in (4, 8, 16, 32, 64, 128):
        for entry in entries():
            code = answer(x, n_values, entry.method, **entry.parameters)
            score = judge.score(code.codebook, code.indices, n_values)
            record = {"n_values": n_values, "method": entry.name}
            record |= {"ratio": score["ratio"], "count": score["count"]}
            if entry.method in SPARSE:
                record["own"] = own_ratio(judge, n_values, entry)
            records.append(record)
    return records


def squares(study: Study, sets: dict[str, Array]) -> list[Record]:
    """What l1 + l2 and l1 - l2 change: values left at one penalty, and error at one count."""
    u = np.sort(np.random.default_rng(study.seed).standard_normal(100))
    judge, records = Judge(u), []
    path = METHODS["l1"](n_values=53).fit(u[:, None])
    alpha = path.alpha_ * (1 + 1e-9)
    settings = [{"ridge": r / 2, "beta": 0.0} for r in (0.0, 1e-4, 1e-3, 1e-2)]
    settings += [{"beta": beta} for beta in (0.25, 0.5, 0.9, 0.99, 0.999)]
    for given in settings:
        model = METHODS["l1-l2"](alpha=alpha, **given).fit(u[:, None])
        steps = np.abs(model.coef_[1:])
        record = {"kind": "penalty", **given, "count": model.n_values_}
        records.append(record | {"largest": float(steps.max()), "sum": float(steps.sum())})
    for data, x in sets.items():
        for n_values in (8, 64, 256):
            for name, given in {"l1 + l2": {"ridge": 1e-3, "beta": 0.0}, "l1 - l2": {}}.items():
                judge = Judge(x)
                ours = ratio(judge, answer(x, n_values, "l1-l2", **given), n_values)
                plain = ratio(judge, answer(x, n_values, "l1"), n_values)
                record = {"kind": "count", "data": data, "n_values": n_values, "form": name}
                records.append(record | {"ratio": ours, "l1": plain})
    return records


def schedule(study: Study, sets: dict[str, Array]) -> list[Record]:
    """Counts that the raised penalty reaches, wanted and found."""
    records = []
    for data, x in sets.items():
        for growth in (1.05, 1.2, 2.0):
            for wanted in (200, 100, 50, 20, 10):
                code = answer(x, wanted, "iterative-l1", growth=growth)
                found = int(np.unique(code.codebook).size)
                record = {"data": data, "growth": growth, "n_values": wanted}
                records.append(record | {"count": found})
    return records


def small_layer(study: Study, sets: dict[str, Array]) -> list[Record]:
    """Every method on the layer of 640 trained weights."""
    x, records = sets.get("layer", sets["normal"]), []
    judge = Judge(x)
    for n_values in (4, 16, 64, 256):
        for entry in entries():
            runs = range(5 if entry.method in RANDOM else 1)
            codes = (answer(x, n_values, entry.method, seed, **entry.parameters) for seed in runs)
            found = float(np.mean([ratio(judge, code, n_values) for code in codes]))
            records.append({"n_values": n_values, "method": entry.name, "ratio": found})
    return records
