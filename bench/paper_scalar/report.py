"""Writes what a person reads: ``OUT/README.md`` and its figures, from the JSON of the parts."""

from __future__ import annotations

from pathlib import Path

from bench.paper_scalar import claim_figures, figures, tables
from bench.paper_scalar.decision import decision
from bench.paper_scalar.expected import comparison
from bench.paper_scalar.study import Record
from bench.paper_scalar.verdicts import CLAIMS, of

TITLE = """\
# Scalar Quantization as Sparse Least Square Optimization: made again, and judged

Wang et al., IEEE TPAMI 2019, doi 10.1109/TPAMI.2019.2952096. Every number below is the squared
error of the data decoded from a codebook and indices, divided by that of the exact optimum of the
same number of values; `bench/paper_scalar/objective.py` computes it for all methods alike, and
checks that nothing is below the certified bound. Times are CPU seconds of one core.
"""


def write(found: dict[str, Record], out: Path) -> str:
    """Draw the figures, write the page, and return a line that says where."""
    text = [TITLE, "## What to use", decision(found) + "\n"]
    if "claims" in found:
        text += ["## The claims, one by one", claims(found["claims"], out)]
    if "weights" in found:
        text += ["## 1. Network weights", drawn(figures.WEIGHTS, found["weights"], out)]
        text.append(tables.weights(found["weights"]))
    if "images" in found:
        text += ["## 2. Pictures of digits", drawn(figures.IMAGES, found["images"], out)]
        text.append(tables.images(found["images"]))
    if "synthetic" in found:
        text += ["## 3. Synthetic data", drawn(figures.SYNTHETIC, found["synthetic"], out)]
        text.append(tables.synthetic(found["synthetic"]))
    if "claims" in found:
        text += ["## Against the figures of a prototype", comparison(found["claims"]["records"])]
    text += [
        "## What was limited or left out",
        omissions(found),
        "## How it was made",
        origin(found),
    ]
    page = out / "README.md"
    page.write_text("\n".join(text), encoding="utf-8")
    return f"report: {page}"


def drawn(makers: tuple[figures.Maker, ...], data: Record, out: Path) -> str:
    """Draw some figures and embed them, each with the first line of its docstring."""
    lines = []
    for make in makers:
        words = (make.__doc__ or "").split("\n")[0].partition(" ")[2]  # without "Draw"
        lines.append(f"![{words}]({make(data, out)})\n")
    return "\n".join(lines)


def claims(data: Record, out: Path) -> str:
    """Write the sentence and the figure of every claim, after a table of verdicts."""
    rows, text = [], []
    for name, judge in CLAIMS.items():
        records = of(data["records"], claim=name)
        claim, verdict, sentence = judge(records)
        rows.append([claim, verdict])
        file = claim_figures.FIGURES[name](records, out / f"claim-{name.replace('_', '-')}.svg")
        text.append(f"### {claim} {verdict.capitalize()}.\n{sentence}\n\n![{claim}]({file})\n")
    records = of(data["records"], claim="small_layer")
    file = claim_figures.small_layer(records, out / "claim-small-layer.svg")
    text.append(f"### Every method on one small layer\n![error of every method]({file})\n")
    text.append(tables.pivot(records, "ratio") + "\n")
    return "\n".join([tables.markdown(("claim", "verdict"), rows) + "\n", *text])


SCOPE = {
    "weights": (
        "without counts and with Fisher weights only some numbers of values (the tables show "
        "which), the Fisher runs of ResNet-20 up to 16; of the methods without refit only l1 on "
        "the larger networks; MiniLM: layers 0 and 5, up to 16 values, since k-means and the "
        "mixture take minutes on more; wall seconds for all tensors of these three: 20, 30 and "
        "60; one seed for the random methods (the claims have 50)"
    ),
    "images": "the first picture of each of the digits 0, 1, 2, ...; 8 values for clipping",
    "synthetic": "16 values where the number of data grows; one seed",
    "claims": "640 values, unless a figure says otherwise",
}


def omissions(found: dict[str, Record]) -> str:
    """List what was not run, and why."""
    lines = []
    for part, data in found.items():
        lines += [f"- {part}: {note}" for note in [SCOPE[part], *data["notes"]]]
        if "time_limit" in data:
            lines.append(f"- {part}: {data['time_limit']:g} wall seconds a fit")
        late = [r for r in data["records"] if "timeout" in r.get("status", "")]
        names = sorted({r["method"] for r in late})
        if names:
            lines.append(
                f"- {part}: {len(late)} fits ran out of time or were not tried since a smaller one "
                f"had ({', '.join(names)}); the tables say timeout"
            )
        broken = {r["status"] for r in data["records"] if "failed" in r.get("status", "")}
        lines += [f"- {part}: {status}" for status in sorted(broken)]
        below = sum(bool(r.get("refuted")) for r in data["records"])
        lines.append(f"- {part}: {below} of {len(data['records'])} records below a certified bound")
    return "\n".join(lines) + "\n"


def origin(found: dict[str, Record]) -> str:
    """Write command, commit, seed, machine and versions of every part."""
    rows = []
    for part, data in found.items():
        facts = data["environment"]
        load = facts["load"][0]
        rows.append(
            [
                part,
                f"`{facts['command']}`",
                facts["date"],
                facts["commit"],
                str(facts["seed"]),
                str(load),
            ]
        )
    facts = next(iter(found.values()))["environment"]
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    head = ("part", "command", "date", "commit", "seed", "load")
    return (
        tables.markdown(head, rows)
        + f"\n\n{facts['processor']}, {facts['cores']} cores (one used, shared with other work), "
        f"{facts['system']}; Python {facts['python']}, {versions}.\n"
    )
