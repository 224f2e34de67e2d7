"""One run in full: its figures, and every way in which its latents were sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from solvq.report._record import Record
from solvq.report._render import aligned

FIGURES = (
    "mse",
    "psnr",
    "ssim",
    "ms_ssim",
    "quantization_error",
    "relative_error",
    "soft_perplexity",
    "hard_perplexity",
    "used",
)
TITLES = ("sent as", "bits/latent", "entropy", "bits/pixel", "MSE", "PSNR")


def details(run: Record) -> Iterator[str]:
    """Lines about a run; figures that do not exist are left out."""
    found, about = run.found, run.found["images"]
    yield f"{run.path}: {run.config['quantizer']}, step {found['step']}"
    yield f"  {about['n']} test images of {about['name']} ({about['note']})"
    for name in FIGURES:
        if found.get(name) is not None:
            yield f"  {name:20}{found[name]:.5g}"
    if found.get("frechet"):
        distance = found["frechet"]
        yield f"  {'frechet':20}{distance['value']:.5g} on {distance['network']}"
    for name, reason in found.get("absent", {}).items():
        yield f"  {name:20}- ({reason})"
    reference = found.get("timing", {}).get("reference")
    for name, times in found.get("timing", {}).items():
        if isinstance(times, dict):
            yield f"  {name:20}{times['min']:.4g}, {times['ratio']:.3g} times {reference}"
    yield from _points(found["points"])


def _points(points: list[dict[str, Any]]) -> Iterator[str]:
    """Table of operating points."""
    yield from (f"  {line}" for line in aligned([TITLES, *map(_cells, points)]))


def _cells(point: dict[str, Any]) -> tuple[str, ...]:
    """Row of an operating point under `TITLES`."""
    bits, entropy = point["bits_per_latent"]["sent"], point["bits_per_latent"]["entropy"]
    return (
        point["name"],
        f"{bits:.2f}",
        "-" if entropy is None else f"{entropy:.2f}",
        f"{point['bits_per_pixel']['sent']:.3f}",
        f"{point['mse']:.4e}",
        f"{point['psnr']:.2f}",
    )
