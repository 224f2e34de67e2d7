"""The folder of a run: what it was asked for, what it measured, and what it goes on with."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from solvq.files import FormatError, json_lines, replacing
from solvq.train._autoencoder import Autoencoder
from solvq.train._config import Config
from solvq.train._environment import environment
from solvq.train._state import load, load_module, read_record

UNFINISHED = "**/.*.part.*"  # what `replacing` writes to


class Run:
    """A folder with ``config.json``, ``state.safetensors``, ``metrics.jsonl`` and samples.

    Parameters
    ----------
    path : Path
        The folder.
    config : Config
        What the run was asked for.
    """

    def __init__(self, path: Path, config: Config) -> None:
        self.path = path
        self.config = config

    @property
    def state_path(self) -> Path:
        """File with everything that the run goes on with."""
        return self.path / "state.safetensors"

    @property
    def metrics_path(self) -> Path:
        """File with one line of figures an interval."""
        return self.path / "metrics.jsonl"

    @property
    def started(self) -> bool:
        """Whether there is a state to go on from."""
        return self.state_path.is_file()

    @property
    def step(self) -> int:
        """Steps that the state is the result of; 0 if there is none yet."""
        return int(read_record(self.state_path)["step"]) if self.started else 0

    def metrics(self) -> list[dict[str, Any]]:
        """Figures of each interval.

        Raises
        ------
        FormatError
            If a line is damaged.
        """
        return json_lines(self.metrics_path)

    def keep_metrics(self, records: Iterable[dict[str, Any]]) -> None:
        """Write all figures anew."""
        text = "".join(json.dumps(record) + "\n" for record in records)
        write_text(self.metrics_path, text)

    def model(self) -> Autoencoder:
        """The trained autoencoder on the CPU in eval mode, with averaged weights if there are any.

        Raises
        ------
        FileNotFoundError, FormatError
            If there is no state, or it is damaged.
        """
        parts, _ = load(self.state_path)
        model = Autoencoder(self.config)
        if self.config.ema:
            averaged = averaged_model(model, self.config.ema)
            load_module(self.state_path, "ema", averaged, parts.get("ema", {}))
            model.load_state_dict(averaged.module.state_dict())
        else:
            load_module(self.state_path, "model", model, parts.get("model", {}))
        return model.eval()


def averaged_model(model: Autoencoder, decay: float) -> AveragedModel:
    """Moving average of the weights of a model, with its buffers as they are."""
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with replacing(path) as part:
        part.write_text(text)


def create_run(path: str | Path, config: Config) -> Run:
    """Make the folder of a run, or find that of the same run begun before.

    Raises
    ------
    FileExistsError
        If the folder holds another run, or other files.
    """
    run = Run(Path(path), config)
    if (run.path / "config.json").is_file():
        for part in run.path.glob(UNFINISHED):  # of a process that was killed
            part.unlink(missing_ok=True)
        found = open_run(path)
        if found.config != config:
            raise FileExistsError(f"{path}: holds {_difference(found.config, config)}")
        return found
    if run.path.exists() and (not run.path.is_dir() or any(run.path.glob("[!.]*"))):
        raise FileExistsError(f"{path}: exists and is no run; give another folder")
    run.path.mkdir(parents=True, exist_ok=True)
    record = {"config": config.to_dict(), "environment": environment()}
    write_text(run.path / "config.json", json.dumps(record, indent=2) + "\n")
    return run


def _difference(ours: Config, theirs: Config) -> str:
    """How two configurations differ, in words."""
    mine, other = ours.to_dict(), theirs.to_dict()
    differing = [
        f"{name} {mine[name]!r}, not {other[name]!r}" for name in mine if mine[name] != other[name]
    ]
    return f"a run with {'; '.join(differing)}. Give another folder, or --force to begin anew"


def open_run(path: str | Path) -> Run:
    """Open the folder of a run.

    Raises
    ------
    FileNotFoundError, FormatError
        If there is no configuration, or it is damaged.
    """
    file = Path(path) / "config.json"
    if not file.is_file():
        raise FileNotFoundError(f"{path}: no run, {file.name} is missing")
    try:
        return Run(Path(path), Config.from_dict(json.loads(file.read_text())["config"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"{file}: not the configuration of a run ({error})") from None
