"""What is printed: a table for each model, and who is better at equal bytes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from bench.compression.methods import METHODS
from bench.compression.models import MODELS, Measure
from bench.compression.results import EQUAL, Result
from bench.compression.rows import ERROR, SOLVQ
from bench.report import lines_up, number
from bench.vector.tables import Goal

NOTES = """\
bits/weight  8 times the bytes of the file that are not kept tensors, per compressed weight; all
             methods compress the tensors of two dimensions and 1,024 weights or more
bytes        of solvq: of the file; of others: of a safetensors file with their parts
error        squared error over the sum of squares, all compressed tensors together
blocks       run over the flattened tensor and the last one is padded: the packages do the same
             where a block divides the rows (bitsandbytes always); of other rows, as those of 3 x 3
             convolutions, torchao pads or skips and GGUF keeps float16, which costs more bytes
a=b          solvq-a with the file size of b as its limit: equal bytes"""


class Verdict(NamedTuple):
    """A run of solvq against the competitor whose bytes it was given."""

    model: str
    row: str
    rival: str
    bits: float
    text: str
    better: int  # 1, 0, -1
    line: str


def ordered(results: Iterable[Result]) -> list[Result]:
    """Results by nominal rate, competitors before solvq."""
    names = [*METHODS, *SOLVQ]

    def place(result: Result) -> tuple[float, int, str]:
        name = result["method"].partition(EQUAL)
        index = names.index(name[0]) if name[0] in names else -1
        if name[2]:
            index = len(names) + (names.index(name[2]) if name[2] in names else 0)
        return -result["bits"], index, result["method"]

    return sorted(results, key=place)


def table(model: str, results: list[Result]) -> str:
    """All results of a model."""
    kind = MODELS[model]
    measures = [measure.name for measure in kind.measures]
    rows = [["method", "nominal", "bits/weight", "bytes", "error", *measures, "CPU s"]]
    others: dict[str, list[str]] = {}
    for each in ordered(results):
        if each["status"] != "ok":
            why = f"{each['status']}: {each['reason']}"
            others.setdefault(why, []).append(f"{each['method']} {each['bits']:g}")
            continue
        rows.append(
            [
                each["method"],
                f"{each['bits']:g}",
                f"{each['bits_per_weight']:.3f}",
                str(each["nbytes"]),
                number(each["relative_error"], 3) if each["relative_error"] else "0",
                *(f"{each['quality'][name]:.4f}" for name in measures),
                number(each["cpu"]),
            ]
        )
    silent = [f"{', '.join(names)} {why}" for why, names in others.items()]
    return "\n".join([f"{model}: {kind.task}", *lines_up(rows), *silent])


def verdicts(results: Iterable[Result]) -> list[Verdict]:
    """Each run at equal bytes against its competitor."""
    good = {(r["model"], r["method"], r["bits"]): r for r in results if r["status"] == "ok"}
    found = []
    for (model, method, bits), ours in good.items():
        row, equal, rival = method.partition(EQUAL)
        theirs = good.get((model, rival, bits))
        if equal and theirs is not None:
            found.append(verdict(ours, theirs, row, rival))
    return found


def verdict(ours: Result, theirs: Result, row: str, rival: str) -> Verdict:
    """Compare two results by the model's first measure."""
    measure: Measure = MODELS[ours["model"]].measures[0]
    mine, his = ours["quality"][measure.name], theirs["quality"][measure.name]
    gain = (mine > his) - (mine < his)
    better = gain if measure.higher_is_better else -gain
    text = {1: "better", 0: "equal", -1: "worse"}[better]
    ratio = ours["relative_error"] / theirs["relative_error"]
    others = "".join(
        f", {name} {ours['quality'][name]:.4f} against {theirs['quality'][name]:.4f}"
        for name, *_ in MODELS[ours["model"]].measures[1:]
    )
    line = (
        f"{ours['model']}, {rival} at {ours['bits']:g} bits: {row} at equal bytes ({ours['nbytes']}"
        f" against {theirs['nbytes']}): {text}, {measure.name} {mine:.4f} against {his:.4f}"
        f"{others}, error x {ratio:.3f}"
    )
    return Verdict(ours["model"], row, rival, ours["bits"], text, better, line)


def goals(results: Iterable[Result]) -> list[Goal]:
    """The stated goal for MiniLM: its matrices at 4 bits a weight."""
    return [
        Goal(f"minilm at a squared error of {ERROR}: bits a weight", each["bits_per_weight"], 4.0)
        for each in results
        if each["status"] == "ok" and each["model"] == "minilm" and each["method"] == "solvq-error"
    ]


def judgement(found: list[Verdict]) -> str:
    """A line for each competitor and row of solvq, then what was not better, in full."""
    if not found:
        return "no run at equal bytes: solvq has no size= yet, or no competitor has finished"
    lines = []
    for rival in dict.fromkeys(each.rival for each in found):
        for row in dict.fromkeys(each.row for each in found):
            mine = [each for each in found if (each.rival, each.row) == (rival, row)]
            counts = {
                word: sum(e.text == word for e in mine) for word in ("better", "equal", "worse")
            }
            if mine:
                said = ", ".join(f"{word} {count}" for word, count in counts.items())
                lines.append(f"{rival}: {row} at equal bytes: {said} (of {len(mine)})")
    return "\n".join([*lines, "", "each:", *(each.line for each in found)])
