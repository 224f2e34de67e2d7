"""``rans``: size and speed of the entropy coder, beside constriction and zlib."""

import argparse
import json
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, final

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from bench.environment import environment, environment_text
from bench.report import lines_up, number
from bench.suites._base import Suite
from bench.timing import use_processors
from solvq.checkpoint._lossless import pack_lossless, unpack_lossless
from solvq.rans import class_of_runs, decode, encode

Symbols = NDArray[Any]
HEADER = ["method", "bits", "/ entropy", "write MB/s", "read MB/s", "write / ours", "read / ours"]
NOTES = """\
bits       8 times all bytes, tables included, per symbol; constriction's table counts 2 bytes for
           each symbol that occurs
/ entropy  divided by the empirical entropy of all symbols, which classes of rows may go below
MB/s       bytes of the symbols by CPU seconds, one thread, best of the rounds; the methods take
           turns, first calls not timed; what is read must be what was written
/ ours     CPU seconds divided by those of the first line of the table
classes    the search for them is part of writing"""


class Method(NamedTuple):
    """A name, a call that writes and one that reads; bytes of a stream and of its table."""

    name: str
    write: Callable[[Symbols], Any]
    read: Callable[[Any, Symbols], Symbols]
    size: Callable[[Any], int]


class Source(NamedTuple):
    """Symbols below a number of symbols, row by row, and whether rows are told apart."""

    symbols: Symbols
    n_symbols: int
    rows: bool


def sources(n: int, seed: int) -> dict[str, Source]:
    """Bell-shaped symbols of 4 and 8 bits, rows of different scale, patterns of bfloat16."""
    rng = np.random.default_rng(seed)
    normal = rng.normal(size=(max(1, n // 1024), 1024))

    def bell(x: NDArray[Any], spread: float, n_symbols: int) -> Symbols:
        near = np.clip(np.rint(n_symbols / 2 + spread * x), 0, n_symbols - 1)
        return near.astype(np.uint8)

    scales = np.exp(rng.normal(0.0, 0.5, (len(normal), 1)))
    patterns = (0.02 * normal).astype(ml_dtypes.bfloat16).view(np.uint16)
    return {
        "16 values": Source(bell(normal, 2.5, 16), 16, False),
        "256 values": Source(bell(normal, 30.0, 256), 256, False),
        "rows of scales, 16 values": Source(bell(scales * normal, 2.0, 16), 16, True),
        "bfloat16 patterns": Source(patterns, 1 << 16, False),
    }


def ours(source: Source) -> list[Method]:
    """The coder; with classes of rows; and for words of two bytes as weights are coded."""
    k = source.n_symbols

    def flat(x: Symbols) -> Any:
        return encode(x.reshape(-1), k, n_jobs=1)

    def classes(x: Symbols) -> Any:
        return encode(x.reshape(-1), k, class_of_runs(x, k, n_jobs=1), n_jobs=1)

    def back(stream: Any, x: Symbols) -> Symbols:
        return decode(stream, x.size, n_jobs=1)

    def lossless(x: Symbols) -> Any:
        return pack_lossless(x.reshape(-1).view(np.uint8), 2, n_jobs=1)

    def words(stream: Any, x: Symbols) -> Symbols:
        return unpack_lossless(stream, x.nbytes, 2, n_jobs=1).view(np.uint16)

    found = [Method("solvq", flat, back, len)]
    if source.rows:
        found.append(Method("solvq, classes", classes, back, len))
    if source.symbols.dtype == np.uint16:
        found.append(Method("solvq, lossless", lossless, words, len))
    return found


def peers(source: Source) -> list[Method]:
    """Constriction's two coders, if it is installed, and zlib."""
    dtype = source.symbols.dtype

    def inflate(stream: bytes, _: Symbols) -> Symbols:
        return np.frombuffer(zlib.decompress(stream), dtype)

    found = [Method("zlib, level 1", lambda x: zlib.compress(x, 1), inflate, len)]
    try:
        from constriction import stream  # noqa: PLC0415
    except ImportError:
        return found
    used = np.flatnonzero(np.bincount(source.symbols.reshape(-1)))
    rank = np.zeros(source.n_symbols, np.int32)
    rank[used] = np.arange(used.size)

    def model(x: Symbols) -> Any:
        counts = np.bincount(x.reshape(-1), minlength=source.n_symbols)[used]
        return stream.model.Categorical(counts / counts.sum(), perfect=False)

    def size(coded: Any) -> int:
        return int(coded[0].nbytes) + 2 * used.size

    def push(x: Symbols) -> Any:
        coder, table = stream.stack.AnsCoder(), model(x)
        coder.encode_reverse(rank[x.reshape(-1)], table)
        return coder.get_compressed(), table

    def pop(coded: Any, x: Symbols) -> Symbols:
        return used.astype(dtype)[stream.stack.AnsCoder(coded[0]).decode(coded[1], x.size)]

    def enqueue(x: Symbols) -> Any:
        coder, table = stream.queue.RangeEncoder(), model(x)
        coder.encode(rank[x.reshape(-1)], table)
        return coder.get_compressed(), table

    def dequeue(coded: Any, x: Symbols) -> Symbols:
        return used.astype(dtype)[stream.queue.RangeDecoder(coded[0]).decode(coded[1], x.size)]

    return [
        Method("constriction, ANS", push, pop, size),
        Method("constriction, range", enqueue, dequeue, size),
        *found,
    ]


class Row(NamedTuple):
    """What a method gave."""

    method: str
    bits: float
    over_entropy: float
    write: float
    read: float
    exact: bool


def seconds(call: Callable[[], Any]) -> float:
    """CPU seconds of a call."""
    start = time.process_time()
    call()
    return time.process_time() - start


def measured(source: Source, rounds: int) -> list[Row]:
    """All methods on one source, in turns."""
    x, methods = source.symbols, [*ours(source), *peers(source)]
    streams = [method.write(x) for method in methods]
    exact = [
        bool((m.read(s, x) == x.reshape(-1)).all()) for m, s in zip(methods, streams, strict=True)
    ]
    spent = np.full((2, len(methods)), np.inf)
    for _ in range(rounds):
        for i, (method, stream) in enumerate(zip(methods, streams, strict=True)):
            write = seconds(lambda m=method: m.write(x))
            read = seconds(lambda m=method, s=stream: m.read(s, x))
            spent[:, i] = np.minimum(spent[:, i], (write, read))
    counts = np.bincount(x.reshape(-1))
    share = counts[counts > 0] / x.size
    entropy = float(-(share * np.log2(share)).sum())
    rows = []
    for i, (method, stream) in enumerate(zip(methods, streams, strict=True)):
        bits = 8 * method.size(stream) / x.size
        rows.append(Row(method.name, bits, bits / entropy, *spent[:, i].tolist(), exact[i]))
    return rows


def text(name: str, source: Source, rows: list[Row]) -> str:
    """Table of one source."""
    size, first = source.symbols.nbytes / 1e6, rows[0]
    table = [HEADER]
    for row in rows:
        ratios = [row.write / first.write, row.read / first.read]
        speeds = [f"{size / row.write:.0f}", f"{size / row.read:.0f}"]
        sizes = [f"{row.bits:.4f}", f"{row.over_entropy:.5f}"]
        table.append([row.method, *sizes, *speeds, *map(number, ratios)])
    return "\n".join([f"{name}: {source.symbols.size} symbols", *lines_up(table)])


@final
class Rans(Suite):
    """Every source, every coder."""

    summary = "the entropy coder: bits and MB/s beside constriction and zlib"

    def add_arguments(self, command: argparse.ArgumentParser) -> None:
        """Add size, seed and where the results go."""
        add = command.add_argument
        add("--quick", action="store_true", help="a sixteenth of the symbols, one round")
        add("--seed", type=int, default=0)
        add("--json", type=Path, metavar="PATH", help="also write the results")

    def run(self, options: argparse.Namespace) -> int:
        """Measure all sources, print a table for each; 1 if a stream does not come back."""
        use_processors(1)
        facts = environment(("constriction",), options.seed, 1)
        print(environment_text(facts), end="\n\n", flush=True)
        results = {}
        for name, source in sources(1 << (18 if options.quick else 22), options.seed).items():
            results[name] = measured(source, 1 if options.quick else 5)
            print(text(name, source, results[name]), end="\n\n", flush=True)
        print(NOTES)
        if options.json is not None:
            rows = {name: [row._asdict() for row in found] for name, found in results.items()}
            written = {"environment": facts, "results": rows}
            options.json.write_text(json.dumps(written, indent=1) + "\n")
        return int(not all(row.exact for found in results.values() for row in found))


SUITE = Rans()
