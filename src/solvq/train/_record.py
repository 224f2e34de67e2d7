"""What a run writes down after each interval: figures, samples of reconstructions, its state."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from solvq.files import replacing
from solvq.train._bottleneck import watch
from solvq.train._order import to_tensor
from solvq.train._parallel import rank
from solvq.train._run import Run
from solvq.train._trainee import Trainee
from solvq.train.data import Images

PROBE = 128  # test images that each interval is judged by
SAMPLES = 16  # of them on the contact sheet


class Recorder:
    """Sums up the steps of an interval, and writes what `Run` lists.

    Parameters
    ----------
    run : Run
        The folder.
    trainee : Trainee
        What is watched; lines of steps that it does not know are taken out.
    data : Images
        Whose first test images are the probe.
    """

    def __init__(self, run: Run, trainee: Trainee, data: Images) -> None:
        self.run, self.trainee, self.first = run, trainee, rank() == 0
        count = min(PROBE, len(data.test))
        self.probe = to_tensor(data.test.batch(np.arange(count)), trainee.device)
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}
        self.lines = [line for line in run.metrics() if line["step"] <= trainee.step]
        self.text = ""
        self.board: Any = None
        if self.first:
            run.keep_metrics(self.lines)
            self.board = board(run.path / "tensorboard", trainee.step)

    @property
    def last(self) -> dict[str, Any]:
        """The latest figures."""
        return self.lines[-1] if self.lines else {}

    def add(self, figures: dict[str, Tensor]) -> None:
        """Count the figures of a step; some may begin later than others."""
        for name, value in figures.items():
            self.sums[name] = self.sums.get(name, 0) + value.detach()
            self.counts[name] = self.counts.get(name, 0) + 1

    def write(self) -> None:
        """End the interval: judge the probe, and let the first process write."""
        line: dict[str, Any] = {"step": self.trainee.step, "seconds": self.trainee.seconds}
        line |= {f"train_{n}": float(total) / self.counts[n] for n, total in self.sums.items()}
        self.sums, self.counts = {}, {}
        if not math.isfinite(line["train_loss"]):
            raise ValueError(
                f"the loss is {line['train_loss']} near step {self.trainee.step}; try a smaller lr"
            )
        figures, sheet = self._judge()
        line |= figures
        self.lines.append(line)
        self.text = _text(line)
        if self.first:
            self._save(line, sheet)

    @torch.no_grad()
    def _judge(self) -> tuple[dict[str, float], Image.Image]:
        """Figures of the probe in eval mode, and originals above their reconstructions."""
        model = self.trainee.model
        model.eval()
        try:
            with self.trainee.autocast():
                output = model(self.probe)
        finally:
            model.train()
        shown = output.reconstruction.float().clamp(0, 1)
        mse = float((shown - self.probe).square().mean())
        rest = (output.latents - output.values).float().square().sum(1)
        spread = output.latents.float().var((0, 2, 3), correction=0).sum()
        figures = {"mse": mse, "psnr": -10 * math.log10(max(mse, 1e-20))}
        figures["quantization_error"] = float(rest.mean())
        figures["relative_error"] = float(rest.mean() / spread.clamp_min(1e-20))
        if model.quantizer is not None and not model.through:
            figures |= watch(model.quantizer, output.latents.float())
        return figures, contact_sheet(torch.stack([self.probe[:SAMPLES], shown[:SAMPLES]]))

    def _save(self, line: dict[str, Any], sheet: Image.Image) -> None:
        """Write the state first, so that figures of a step never stand without it."""
        self.trainee.save()
        self.run.keep_metrics(self.lines)
        save_image(self.run.path / "samples" / f"{line['step']:07d}.png", sheet)
        if self.board is not None:
            for name, value in line.items():
                self.board.add_scalar(name, value, line["step"])
            self.board.add_image("samples", np.asarray(sheet), line["step"], dataformats="HWC")
            self.board.flush()


def board(folder: Path, step: int) -> Any:
    """TensorBoard's writer that goes on after a step; None where TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - optional, and slow
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step + 1)


def contact_sheet(rows: Tensor) -> Image.Image:
    """Images (rows, n, 3, H, W) in [0, 1] on one sheet."""
    grid = (rows * 255).round().byte().permute(0, 3, 1, 4, 2)  # rows, H, n, W, 3
    n_rows, height, count, width, _ = grid.shape
    return Image.fromarray(grid.reshape(n_rows * height, count * width, 3).cpu().numpy())


def save_image(path: Path, image: Image.Image) -> None:
    """Write a PNG, and the folder that it is in."""
    path.parent.mkdir(exist_ok=True)
    with replacing(path) as part:
        image.save(part, format="png")


def _text(line: dict[str, Any]) -> str:
    """The figures that matter while one waits."""
    text = f"psnr {line['psnr']:.2f} mse {line['mse']:.5f}"
    if "hard_perplexity" in line:
        text += f" perplexity {line.get('soft_perplexity', line['hard_perplexity']):.1f}"
    return text
