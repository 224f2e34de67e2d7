"""Part 1: the weights of trained networks, and what quantizing them costs their task."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from bench.paper_scalar.fits import Fit, TooSlow, fit_all
from bench.paper_scalar.models import others
from bench.paper_scalar.networks import Network, mlp
from bench.paper_scalar.objective import Judge
from bench.paper_scalar.study import COUNTS, Array, Entry, Record, Study, entries

WEIGHTINGS = ("counts", "unweighted", "fisher")
FEW = (2, 4, 8, 16, 64, 256)
COUNTS_OF = {"MLP": COUNTS, "ResNet-20": FEW, "g2p": FEW, "MiniLM": (2, 4, 8, 16)}
LIMIT_OF = {"ResNet-20": 20.0, "g2p": 30.0, "MiniLM": 60.0}
"""Wall seconds for all tensors of a network together; a layer of the MLP has ``--time-limit``."""

Item = tuple[str, Array, Judge]


def run(study: Study) -> Record:
    """Quantize every network by every method; records by layer, and of whole networks."""
    judged: list[Record] = []
    network = mlp(study)
    about = [describe(network)]
    slow = TooSlow()
    for weighting in WEIGHTINGS:
        counts = study.counts(COUNTS if weighting == "counts" else FEW)
        items = with_judges(network, "fisher" if weighting == "fisher" else "counts")
        for n_values in counts:
            for entry in entries():
                judged += layers_alone(study, network, items, n_values, (entry, weighting), slow)
            study.say(f"weights: {network.name}, {weighting}, {n_values} values")
    judged += one_table(study, network, slow)
    for other in [] if study.quick else others(study):
        about.append(describe(other))
        judged += whole_network(study, other)
    return {"networks": about, "records": judged}


def describe(network: Network) -> Record:
    """Return name, task, size and quality of a network as it was trained."""
    return {
        "network": network.name,
        "task": network.task,
        "n_weights": int(sum(w.size for w in network.tensors.values())),
        "n_tensors": len(network.tensors),
        "tensors": {name: [w.size, int(np.unique(w).size)] for name, w in network.tensors.items()},
        "quality": network.quality(network.tensors),
        "higher_is_better": network.higher_is_better,
    }


def with_judges(network: Network, weighting: str) -> list[Item]:
    """Return name, weights and judge of every tensor."""
    importance = network.fisher if weighting == "fisher" else {}
    return [(name, w, Judge(w, importance.get(name))) for name, w in network.tensors.items()]


def task(item: Item) -> tuple[Array, Array | None]:
    """Return the arrays that a method gets."""
    _, w, judge = item
    return w.ravel(), judge.weights


def restored(items: Sequence[Item], fit: Fit) -> dict[str, Array]:
    """Return the quantized tensors in their shapes."""
    return {
        name: fit.codebooks[i][fit.indices[i]].reshape(w.shape)
        for i, (name, w, _) in enumerate(items)
    }


def applied(entry: Entry, weighting: str) -> Entry:
    """Return a method that is told to ignore counts and weights, where that is wanted."""
    if weighting != "unweighted":
        return entry
    return entry._replace(parameters=entry.parameters | {"unweighted": True})


def layers_alone(
    study: Study,
    network: Network,
    items: list[Item],
    n_values: int,
    how: tuple[Entry, str],
    slow: TooSlow,
) -> list[Record]:
    """Quantize each layer with the others untouched, then all of them, each with its table."""
    entry, weighting = how
    base = {
        "network": network.name,
        "method": entry.name,
        "weighting": weighting,
        "n_values": n_values,
    }
    records, replaced = [], {}
    for item in items:
        name, _, judge = item
        record = base | {"layer": name}
        if slow.skips(entry.name, name, size=n_values):
            fit = Fit("timeout at fewer values")
        else:
            fit = fit_all(study, [task(item)], n_values, applied(entry, weighting))
        if not fit.ok:
            slow.add(entry.name, name, size=n_values)
            records.append(record | {"status": fit.status})
            continue
        replaced |= restored([item], fit)
        record |= judge.score(fit.codebooks[0], fit.indices[0], n_values)
        record |= {"seconds": fit.seconds[0], "extra_bytes": fit.extra_bytes, "status": "ok"}
        record |= {"quality": network.quality({**network.tensors, name: replaced[name]})}
        if weighting == "counts":
            record |= {"steps": judge.steps(fit.codebooks[0], fit.indices[0])}
        records.append(record)
    if len(replaced) == len(items):
        records.append(base | total(records, network.quality(replaced)))
    else:
        records.append(base | {"layer": "all", "status": "timeout"})
    return records


def total(records: Sequence[Record], quality: float) -> Record:
    """Return the record of all layers: geometric mean of the ratios, sum of the seconds."""
    ratios = np.array([record["ratio"] for record in records])
    return {
        "layer": "all",
        "status": "ok",
        "ratio": float(np.exp(np.mean(np.log(ratios)))),
        "worst_ratio": float(ratios.max()),
        "seconds": sum(record["seconds"] for record in records),
        "refuted": any(record["refuted"] for record in records),
        "quality": quality,
    }


def one_table(study: Study, network: Network, slow: TooSlow) -> list[Record]:
    """Quantize all layers together with one table for all of them."""
    joined = np.concatenate([w.ravel() for w in network.tensors.values()])
    judge, records = Judge(joined), []
    ends = np.cumsum([w.size for w in network.tensors.values()])[:-1]
    for n_values in study.counts(FEW):
        for entry in entries(shrunk=False):
            record: Record = {"network": network.name, "layer": "one table", "method": entry.name}
            record |= {"weighting": "counts", "n_values": n_values}
            if slow.skips(entry.name, "one table", size=n_values):
                records.append(record | {"status": "timeout at fewer values"})
                continue
            fit = fit_all(study, [(joined, None)], n_values, entry)
            if not fit.ok:
                slow.add(entry.name, "one table", size=n_values)
                records.append(record | {"status": fit.status})
                continue
            pieces = np.split(fit.codebooks[0][fit.indices[0]], ends)
            shaped = zip(network.tensors.items(), pieces, strict=True)
            replaced = {name: piece.reshape(w.shape) for (name, w), piece in shaped}
            record |= judge.score(fit.codebooks[0], fit.indices[0], n_values)
            record |= {"seconds": fit.seconds[0], "quality": network.quality(replaced)}
            records.append(record | {"status": "ok"})
        study.say(f"weights: {network.name}, one table, {n_values} values")
    return records


def prefix(network: Network) -> str:
    """Return the first word of a network's name, which the settings above go by."""
    return network.name.split(",")[0].split(" ")[0]


def whole_network(study: Study, network: Network) -> list[Record]:
    """Quantize all tensors of a network, a table each, by every method and weighting."""
    records, slow = [], TooSlow()
    counts = study.counts(COUNTS_OF[prefix(network)])
    short = entries(shrunk=False) + [e for e in entries() if e.name == "l1, no refit"]
    for weighting in ("counts", "fisher") if network.fisher else ("counts",):
        items = with_judges(network, weighting)
        for n_values in counts if weighting == "counts" else counts[:4]:
            fit = functools.partial(fit_network, study, network, items, n_values)
            records += [fit(entry, weighting, slow) for entry in short]
            study.say(f"weights: {network.name}, {weighting}, {n_values} values")
    return records


def fit_network(
    study: Study,
    network: Network,
    items: list[Item],
    n_values: int,
    entry: Entry,
    weighting: str,
    slow: TooSlow,
) -> Record:
    """Quantize all tensors by one method."""
    record: dict[str, Any] = {"network": network.name, "layer": "all", "method": entry.name}
    record |= {"weighting": weighting, "n_values": n_values}
    if slow.skips(entry.name, size=n_values):
        return record | {"status": "timeout at fewer values"}
    limit = LIMIT_OF[prefix(network)]
    fit = fit_all(study, [task(item) for item in items], n_values, entry, time_limit=limit)
    if not fit.ok:
        slow.add(entry.name, size=n_values)
        return record | {"status": fit.status}
    scores = [
        judge.score(codebook, indices, n_values) | {"seconds": seconds}
        for (_, _, judge), codebook, indices, seconds in zip(
            items, fit.codebooks, fit.indices, fit.seconds, strict=True
        )
    ]
    return record | total(scores, network.quality(restored(items, fit)))
