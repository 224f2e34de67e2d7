"""A checkpoint to be compressed: its tensors one at a time, in threads, in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from solvq.checkpoint._container import Entry
from solvq.checkpoint._encode import Tensor
from solvq.checkpoint._importance import Importance
from solvq.checkpoint._settings import FLOATS, Recipe, Settings
from solvq.checkpoint.source._base import Source
from solvq.scalar import NonFiniteError

Progress = Callable[[str, int, int], None]
Result = TypeVar("Result")
IN_FLIGHT = 1 << 24  # bytes of tensors that may be worked on at once, if none is larger
NONFINITE = "NaN or infinite values"


@dataclass(frozen=True)
class Job:
    """What is compressed and how.

    Parameters
    ----------
    source : Source
        The checkpoint.
    settings : Settings
        What is wanted.
    importance : Importance or None
        Weights of the errors.
    skip : bool
        Whether tensors with NaN or infinite values are kept instead of refused.
    n_jobs : int or None
        Threads.
    """

    source: Source
    settings: Settings
    importance: Importance | None
    skip: bool
    n_jobs: int | None

    @property
    def entries(self) -> dict[str, Entry]:
        """Tensors in the order of the file."""
        return self.source.entries

    @cached_property
    def kept(self) -> dict[str, str]:
        """Tensors that stay as they are, each with the reason; more may turn out to."""
        reasons = {name: self.settings.keep(name, entry) for name, entry in self.entries.items()}
        return {name: reason for name, reason in reasons.items() if reason}

    @property
    def recipes(self) -> dict[str, Recipe]:
        """One recipe for all tensors that are not kept: what is done without a budget."""
        recipe = self.settings.recipe
        return {name: recipe(name) for name in self.entries if name not in self.kept}

    def attempt(self, name: str, work: Callable[[], Result]) -> Result | str:
        """Result of work on a tensor, or the reason why it is kept after all.

        Raises
        ------
        NonFiniteError
            If it has NaN or infinite values that are not to be skipped; the message names it.
        """
        try:
            return work()
        except NonFiniteError as error:
            if self.skip:
                return NONFINITE
            raise NonFiniteError(
                f"{self.source.path}: tensor {name!r}: {error}; or keep such tensors as they are "
                "with --skip-nonfinite (skip_nonfinite=True)"
            ) from None

    def in_order(
        self, names: Sequence[str], work: Callable[[str], Result]
    ) -> Iterator[tuple[str, Result]]:
        """Results of ``work`` in order, from threads, with a limit on the bytes in flight."""
        cost = {name: 0 if name in self.kept else self.entries[name].nbytes for name in names}
        limit = max([IN_FLIGHT, *cost.values()])
        waiting: deque[tuple[str, Future[Result]]] = deque()
        held = 0
        with ThreadPoolExecutor(self.n_jobs or os.cpu_count()) as pool:
            try:
                for name in names:
                    while waiting and held + cost[name] > limit:
                        done, future = waiting.popleft()
                        yield done, future.result()
                        held -= cost[done]
                    waiting.append((name, pool.submit(work, name)))
                    held += cost[name]
                for done, future in waiting:
                    yield done, future.result()
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def tensor(self, name: str) -> Tensor:
        """A tensor with what is known of its importance."""
        array, known = self.source.array(name), self.importance
        if known is None or array.ndim < 2:
            return Tensor(array, None)
        weight = known.weights(name, array.shape)
        columns = array.size // array.shape[0]
        return Tensor(
            array,
            None if weight is None else weight.reshape(-1),
            known.hessian(name, columns),
            known.mean(name, columns) if self.settings.correct_bias else None,
        )

    @property
    def biases(self) -> dict[str, str]:
        """Weight of every kept bias that is to be corrected."""
        if not self.settings.correct_bias:
            return {}
        pairs = {name: f"{name.removesuffix('.bias')}.weight" for name in self.kept}
        return {
            bias: weight
            for bias, weight in pairs.items()
            if bias.endswith(".bias")
            and weight in self.entries
            and self.entries[bias].dtype in FLOATS
            and self.entries[bias].shape == self.entries[weight].shape[:1]
        }


def counted(
    results: Iterator[tuple[str, Result]], entries: dict[str, Entry], progress: Progress | None
) -> Iterator[tuple[str, Result]]:
    """The same results; the bytes of their tensors are reported as they pass."""
    done, total = 0, sum(entries[name].nbytes for name in entries)
    if progress is not None:
        progress("", done, total)
    for name, result in results:
        yield name, result
        done += entries[name].nbytes
        if progress is not None:
            progress(name, done, total)
