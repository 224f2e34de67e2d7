"""From a budget to the recipe of each tensor."""

from __future__ import annotations

import zlib
from dataclasses import asdict, replace

from solvq.checkpoint._encode import Tensor, weighted_squares
from solvq.checkpoint._importance import HESSIAN
from solvq.checkpoint._job import Job, Progress, counted
from solvq.checkpoint._report import Report
from solvq.checkpoint._rules import least_bits
from solvq.checkpoint._schema import Description, Manifest
from solvq.checkpoint._write import Kept, kept, reserved
from solvq.checkpoint.budget._choice import Plan, within_bytes, within_error, within_file
from solvq.checkpoint.budget._options import About, Candidates, Fixed, fixed_options
from solvq.checkpoint.budget._priced import Priced

SPARE = 1.01  # by how much a planned manifest may be shorter than the one written, and
BYTES = 64  # bytes more
SHARE = 0.25  # power of the number of weights that a tensor's relative error counts with: at 0 all
# tensors count alike, at 1 all weights; chosen on the models of ``python -m bench compression``
SAFE = 0.9992  # by which the next plan aims lower than the last


class Planner:
    """Chooses what each tensor of a job gets, and measures how much of the budget that used.

    Parameters
    ----------
    job : Job
    progress : callable or None
        Told of the tensors whose curves are computed; without a budget there are none.
    """

    def __init__(self, job: Job, progress: Progress | None) -> None:
        self.job = job
        self.budget = job.settings.budget
        self.found: dict[str, Candidates] = {}
        self._extra, self._measured = 0, False
        self._kept: dict[str, int] = {}
        if self.budget is None:
            return
        results = job.in_order(list(job.entries), self._candidates)
        for name, result in counted(results, job.entries, progress):
            if isinstance(result, Kept):
                job.kept[name] = result.reason
                self._kept[name] = result.nbytes(job.entries[name])
            else:
                self.found[name] = result

    def _candidates(self, name: str) -> Candidates | Kept:
        """Options of a tensor, or how it is kept."""
        found: Candidates | str = self.job.kept.get(name, "")
        if name not in self.job.kept:
            found = self.job.attempt(name, lambda: self._options(name))
        result = found if isinstance(found, Candidates) and found.options else None
        if result is None:
            reason = found if isinstance(found, str) else "would not shrink"
            return kept(self.job, name, reason)
        self.job.source.release(name)
        return result

    def _options(self, name: str) -> Candidates:
        """Options of a tensor that is to be compressed, those that save bytes."""
        job, settings = self.job, self.job.settings
        tensor = job.tensor(name)
        energy = weighted_squares(tensor.array.reshape(-1), tensor.weight)
        scale = self._scale(tensor, energy)
        least = least_bits(name, settings.rules) * tensor.array.size / 8.0
        about = About(energy, scale, least)
        if settings.entropy:
            return Priced(tensor, settings, about)
        return Fixed(fixed_options(tensor, settings, scale, job.n_jobs), about)

    def _scale(self, tensor: Tensor, energy: float) -> float:
        """What an error of a tensor counts in the plan.

        Errors are relative where nothing is known of their effect, or only on the layer's own
        outputs: those of different layers are not to be compared.
        """
        known = self.job.importance
        if self.budget is None or not self.budget.in_bytes:
            return 1.0
        if known is None or known.has(HESSIAN):
            return float(tensor.array.size**SHARE / energy) if energy else 1.0
        return known.typical if tensor.weight is None else 1.0

    def plan(self, aim: float) -> Plan:
        """Best plan for ``aim`` times the budget; an empty one if there is none.

        Raises
        ------
        ValueError
            If the budget cannot be met.
        """
        plan = self._best(aim)
        if self.job.settings.entropy and not self._measured:
            self._measure(plan)
            plan = self._best(aim)
        return plan

    def _measure(self, plan: Plan) -> None:
        """Learn what the coded indices of a plan take."""
        job = self.job

        def work(name: str) -> None:
            self.found[name].measure(job.tensor(name), plan.options[name], job.n_jobs)
            job.source.release(name)

        for _ in job.in_order(list(plan.options), work):
            self._measured = True

    def _best(self, aim: float) -> Plan:
        """Best plan for what is known."""
        budget, job = self.budget, self.job
        if budget is None:
            return Plan({})
        if not budget.in_bytes:
            return within_error(self.found, budget, aim)
        if budget.avg_bits is None:
            limit = budget.size or int(job.source.nbytes / (budget.ratio or 1.0))
            return within_file(self.found, int(aim * limit), self._beside)
        weights = sum(job.entries[name].size for name in self.found)
        plan = within_bytes(self.found, aim * budget.avg_bits * weights / 8.0)
        if plan is None:
            least = sum(min(o.nbytes for o in one.options) for one in self.found.values())
            raise ValueError(
                f"avg_bits is {budget.avg_bits:g}; the least with these settings is "
                f"{8.0 * least / weights:.3f}: raise it"
                + ("" if job.settings.entropy else ", or use entropy coding")
            )
        return plan

    def _described(self, plan: Plan) -> dict[str, Description]:
        """Every tensor as a file of the plan would describe it."""
        found = {}
        for name, entry in self.job.entries.items():
            if name not in plan.options:
                reason = self.job.kept.get(name, "")
                found[name] = Description(entry.dtype, entry.shape, reason, crc32=(1 << 31,))
                continue
            option, energy = plan.options[name], self.found[name].energy
            error = option.error / energy if energy else 0.0
            figures = (option.recipe.price, error, 0.999 * error, energy)
            crc = tuple(zlib.crc32(key.encode()) for key in option.scheme.stored(name))
            found[name] = Description(
                entry.dtype, entry.shape, "", option.scheme, *figures, None, crc
            )
        return found

    def _beside(self, plan: Plan) -> int:
        """Most bytes of a file of the plan beside its compressed tensors."""
        job = self.job
        beside = sum(self._kept.values()) + len(job.source.skeleton or b"")
        packed = self.manifest(self._described(plan), plan).packed()
        expected = int(SPARE * packed.size) + BYTES + self._extra
        return 8 + reserved(job, plan.recipes) + beside + expected

    def learn(self, plan: Plan, found: dict[str, Description], nbytes: int) -> None:
        """Expect what a file of a plan took in fact."""
        tensors = 0
        for name, option in plan.options.items():
            scheme, coded = found[name].scheme, option.scheme.coded
            if scheme is None or not coded:
                tensors += option.nbytes
                continue
            tensors += scheme.nbytes
            self.found[name].learn(option, scheme.nbytes - option.nbytes + coded)
        self._extra += nbytes - tensors - self._beside(plan)

    def manifest(self, found: dict[str, Description], plan: Plan) -> Manifest:
        """Manifest of a file of the plan."""
        figures = {"loss": plan.loss, "bound": plan.bound} if self.budget is not None else {}
        source, skeleton = self.job.source, self.job.source.skeleton
        about = None if skeleton is None else (len(skeleton), zlib.crc32(skeleton))
        settings = asdict(self.job.settings)
        return Manifest(settings, source.nbytes, figures, source.notes, about, found)

    def used(self, found: dict[str, Description], nbytes: int) -> float:
        """Share of the budget that a file of ``nbytes`` uses; above 1 if it breaks it."""
        budget = self.budget
        compressed = [one for one in found.values() if one.scheme is not None]
        if budget is None:
            return 0.0
        if budget.in_bytes and budget.avg_bits is None:
            return nbytes / (budget.size or self.job.source.nbytes / (budget.ratio or 1.0))
        if not compressed:
            return 0.0
        if budget.max_tensor_error is not None:
            return max(one.relative_error for one in compressed) / budget.max_tensor_error
        if budget.max_error is not None:
            energy = sum(one.energy for one in compressed)
            error = sum(one.relative_error * one.energy for one in compressed)
            return error / (budget.max_error * energy) if energy else 0.0
        bits = 8.0 * sum(one.scheme.nbytes for one in compressed if one.scheme)
        return bits / ((budget.avg_bits or 0.0) * sum(one.size for one in compressed))

    def next_aim(self, aim: float, used: float, plan: Plan) -> float:
        """Share of the budget to plan for next, now that it has been learnt what tensors take."""
        budget = self.budget
        if budget is None or budget.in_bytes:
            learnt = self.job.settings.entropy or budget is None or budget.avg_bits is None
            return aim * SAFE / (1.0 if learnt else max(1.0, used))
        if used > 1.0:  # an aim above what was planned for would lead to the same plan
            aim = min(aim, self.used(self._described(plan), 0))
        return aim * SAFE / used

    def report(self, plan: Plan, seconds: float) -> Report:
        """What is expected of a plan."""
        found = self._described(plan)
        tensors = []
        for name, one in found.items():
            nbytes = self.job.entries[name].nbytes if one.scheme is None else one.scheme.nbytes
            tensors.append(replace(one.report(name, nbytes), lower_bound=0.0))
        about = self.manifest(found, plan)
        return Report(
            tuple(tensors),
            about.nbytes_before,
            plan.nbytes + self._beside(plan),
            seconds,
            about.settings,
            about.plan,
            about.notes,
        )
