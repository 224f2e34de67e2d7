"""The table of figures, and how they are written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from solvq.report._groups import Group, group
from solvq.report._record import Record
from solvq.report.figures._curves import convergence, error_against_bits, usage
from solvq.report.figures._pictures import contact_sheet, latents
from solvq.report.figures._sweeps import sweeps

Draw = Callable[[Sequence[Group]], Figure | None]

FIGURES: dict[str, tuple[Draw, str]] = {  # how each is drawn, and the kind of its file
    "convergence": (convergence, "svg"),
    "usage": (usage, "svg"),
    "error-against-bits": (error_against_bits, "svg"),
    "reconstructions": (contact_sheet, "png"),
    "latents": (latents, "png"),
    "sweeps": (sweeps, "svg"),
}


def draw(runs: Sequence[Record], folder: str | Path) -> list[Path]:
    """Draw the figures of `FIGURES` into a folder, which is made if it is missing.

    A figure that has nothing to show is left out.

    Parameters
    ----------
    runs : sequence of Record
        From `read_run`.
    folder : str or Path
        Where; files of these names are replaced.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    ValueError
        If no run is given.
    FileNotFoundError, FormatError
        If a run lacks what is drawn.
    """
    if not runs:
        raise ValueError("no run was given; give at least one")
    groups, place = group(runs), Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    written = []
    with mpl.rc_context({"svg.hashsalt": "solvq", "svg.fonttype": "path", "font.size": 9}):
        for name, (drawn, kind) in FIGURES.items():
            path = place / f"{name}.{kind}"
            about = {"Date": None} if kind == "svg" else None
            figure = drawn(groups)
            if figure is not None:
                figure.savefig(path, dpi=120, metadata=about)
                written.append(path)
    return written
