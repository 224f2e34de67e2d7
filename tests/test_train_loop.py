"""Training: every bottleneck learns, and a run that was stopped ends as one that was not."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import multiprocessing as mp
from train_cases import TINY, smooth_images, tiny_run

from solvq.checkpoint import FormatError
from solvq.train import Config, create_run, open_run, train
from solvq.train._loop import learning_rate
from solvq.train._order import indices
from solvq.vector import METHODS

NAMES = ("none", *METHODS)


def weights(path: Path) -> dict[str, torch.Tensor]:
    """Everything a run goes on with."""
    return load_file(path / "state.safetensors")


def assert_same_run(one: Path, other: Path) -> None:
    """Two runs have the same state to the bit, and the same figures but for the time."""
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name
    lines = [
        [
            {key: value for key, value in line.items() if key != "seconds"}
            for line in open_run(path).metrics()
        ]
        for path in (one, other)
    ]
    assert lines[0] == lines[1]


@pytest.mark.parametrize("name", NAMES)
def test_resumed_run_is_bit_identical(name: str, tmp_path: Path) -> None:
    """A run stopped after each interval, in new objects each time, ends with the same bits."""
    data = smooth_images()
    choices = {"quantizer": name, "start": 1, "ema": 0.9}
    if name != "none" and METHODS[name].replaceable:
        choices["revive_every"] = 3
    train(tiny_run(tmp_path / "whole", **choices), data, device="cpu")
    for stop in (2, 4, None):
        train(tiny_run(tmp_path / "parts", **choices), data, device="cpu", stop_at=stop)
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.parametrize("name", NAMES)
def test_learns(name: str, tmp_path: Path) -> None:
    """Sixty steps know much more than the mean colour, and the figures are those of a quantizer."""
    settings = {"steps": 60, "interval": 30, "lr": 1e-2, "start": 20, "n_down": 1, "width": 16}
    objective = "log-mse" if name == "stochastic" else "mse"
    run = tiny_run(tmp_path / "run", quantizer=name, objective=objective, **settings)
    data = smooth_images()
    last = train(run, data, device="cpu")
    assert last["train_mse"] < 0.75 * float((data.test.batch(np.arange(10)) / 255).var())
    assert last["psnr"] == pytest.approx(-10 * math.log10(last["mse"]))
    if name == "none":
        assert last["quantization_error"] == 0
        assert "used" not in last
    else:
        assert last["quantization_error"] > 0
        assert 0 < last["used"] <= 1
    assert (run.path / "samples" / "0000060.png").stat().st_size > 0


def test_same_seed_same_run_and_another_differs(tmp_path: Path) -> None:
    """The seed decides everything."""
    data = smooth_images()
    for folder, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(tiny_run(tmp_path / folder, quantizer="gumbel", seed=seed), data, device="cpu")
    assert_same_run(tmp_path / "a", tmp_path / "b")
    first, third = weights(tmp_path / "a"), weights(tmp_path / "c")
    assert not torch.equal(first["model.decoder.last.weight"], third["model.decoder.last.weight"])


def test_killed_run_goes_on(tmp_path: Path) -> None:
    """SIGKILL in the middle loses the last interval at most; the same command goes on."""
    folder = tmp_path / "run"
    fields = "width=4 n_blocks=0 dim=4 interval=2"
    options = [part for field in fields.split() for part in ("--set", field)]
    command = [sys.executable, "-m", "solvq", "train", "-o", str(folder), "--data", str(tmp_path)]
    command += ["--steps", "200", "--batch-size", "4", "--n-codes", "8", *options]
    archive = tmp_path / "images.npz"
    data = smooth_images()
    np.savez(archive, x_train=data.train.batch(np.arange(30)), x_test=data.test.batch([0, 1]))
    command[command.index(str(tmp_path))] = str(archive)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    metrics = folder / "metrics.jsonl"
    while not metrics.is_file() or len(metrics.read_text().splitlines()) < 3:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = open_run(folder).step
    assert done >= 6
    assert done - open_run(folder).metrics()[-1]["step"] in (0, 2)
    again = [*command, "--json"]
    finished = subprocess.run(again, env=environment, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert json.loads(finished.stdout)["step"] == 200
    assert [line["step"] for line in open_run(folder).metrics()] == list(range(2, 201, 2))
    assert not list(folder.rglob("*.part*"))


SHARED = ("none", "nearest-ema", "soft-convex")


def shared_run(path: Path, name: str) -> None:
    """Train with everything that processes must agree on."""
    torch.set_num_threads(1)
    run = tiny_run(path / name, quantizer=name, start=2, clip=0.5)
    train(run, smooth_images(), device="cpu")


def two_processes(rank: int, folder: str, port: int) -> None:
    """One of two processes that share the batches of each run."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    os.environ |= {"GLOO_SOCKET_IFNAME": "lo"}
    for place, name in enumerate(SHARED):
        os.environ["MASTER_PORT"] = str(port + place)
        shared_run(Path(folder), name)


def test_two_processes_train_as_one(tmp_path: Path) -> None:
    """Halves of each batch on two gloo processes give the run of one process."""
    for name in SHARED:
        shared_run(tmp_path / "one", name)
    port = 29600 + 3 * (os.getpid() % 1000)
    mp.spawn(two_processes, (str(tmp_path / "two"), port), nprocs=2)
    for name in SHARED:
        alone, shared = weights(tmp_path / "one" / name), weights(tmp_path / "two" / name)
        assert alone.keys() == shared.keys()
        for key, tensor in alone.items():
            if "usage" not in key:
                torch.testing.assert_close(shared[key], tensor, rtol=2e-3, atol=1e-3, msg=key)
        last, same = (open_run(tmp_path / where / name).metrics()[-1] for where in ("one", "two"))
        assert same["mse"] == pytest.approx(last["mse"], rel=1e-3)
        assert same["train_loss"] == pytest.approx(last["train_loss"], rel=1e-3)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision(precision: str, tmp_path: Path) -> None:
    """Autocast trains, and the parameters stay float32."""
    run = tiny_run(tmp_path / "run", quantizer="nearest", precision=precision)
    last = train(run, smooth_images(), device="cpu")
    assert math.isfinite(last["mse"])
    assert {t.dtype for k, t in weights(run.path).items() if k.startswith("model.encoder")} == {
        torch.float32
    }


def test_order_visits_every_image_once_an_epoch() -> None:
    """Batches cross the borders of epochs without losing or repeating an image."""
    seen = np.concatenate([indices(step, 10, 4, 0) for step in range(5)])
    assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(10))
    assert list(seen[:10]) != list(seen[10:])


def test_learning_rate() -> None:
    """It rises from 1/warmup and falls to nearly nothing, or stays."""
    config = Config(**TINY | {"steps": 100, "warmup": 10, "lr": 1.0})
    rates = [learning_rate(config, step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == 1
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 1e-3
    assert learning_rate(Config(schedule="constant", lr=0.5), 77) == 0.5


def test_annealed_buffer_reaches_its_end(tmp_path: Path) -> None:
    """A buffer goes geometrically from start to end."""
    run = tiny_run(tmp_path / "run", quantizer="soft-convex", anneal={"alpha": [0.1, 10.0]})
    train(run, smooth_images(), device="cpu")
    assert weights(run.path)["model.quantizer.alpha"].item() == pytest.approx(10)


@pytest.mark.parametrize(
    ("choices", "word"),
    [
        ({"quantizer": "nearst"}, "nearst"),
        ({"model": "unet"}, "unet"),
        ({"steps": 0}, "steps"),
        ({"steps": 2.5}, "integer"),
        ({"lr": math.nan}, "lr"),
        ({"ema": 1.0}, "ema"),
        ({"start": 6}, "start"),
        ({"anneal": {"alpha": [0.0, 1.0]}}, "anneal"),
    ],
)
def test_configuration_is_checked(choices: dict, word: str) -> None:
    """Names and numbers out of range are refused by name."""
    with pytest.raises(ValueError, match=word):
        Config(**TINY | choices)


@pytest.mark.parametrize(
    ("choices", "word"),
    [
        ({"quantizer": "nearest", "anneal": {"alpha": [1.0, 2.0]}}, "alpha"),
        ({"quantizer": "sim", "revive_every": 2}, "revive_every"),
        ({"quantizer": "none", "revive_every": 2}, "revive_every"),
        ({"n_down": 4}, "halved"),
        ({"objective_options": {"weight": 1}}, "takes none"),
        ({"options": {"nonsense": 1}}, "nonsense"),
        ({"lr": 1e30, "clip": 0, "quantizer": "none"}, "loss"),
    ],
)
def test_what_cannot_be_trained_is_refused(choices: dict, word: str, tmp_path: Path) -> None:
    """Choices that do not fit each other or the data give one line."""
    with pytest.raises((ValueError, TypeError), match=word):
        train(tiny_run(tmp_path / "run", **choices), smooth_images(), device="cpu")


def test_folder_of_another_run_is_not_touched(tmp_path: Path) -> None:
    """Another configuration, foreign files and damage are refused; nothing is overwritten."""
    folder = tmp_path / "run"
    run = tiny_run(folder)
    with pytest.raises(FileExistsError, match="n_codes 8, not 4"):
        tiny_run(folder, n_codes=4)
    (tmp_path / "file").mkdir()
    (tmp_path / "file" / "text").write_text("mine")
    with pytest.raises(FileExistsError, match="no run"):
        tiny_run(tmp_path / "file")
    with pytest.raises(FileNotFoundError, match="no such file"):
        run.model()
    with pytest.raises(FileNotFoundError, match="no run"):
        open_run(tmp_path / "nothing")
    run.state_path.write_bytes(b"\x10\0\0\0\0\0\0\0{}")
    with pytest.raises(FormatError, match="state"):
        create_run(folder, run.config).model()
    (folder / "config.json").write_text('{"config": {"wings": 2}}')
    with pytest.raises(FormatError, match="wings"):
        open_run(folder)


def test_state_of_another_size_is_refused(tmp_path: Path) -> None:
    """A state that does not fit the configuration says so."""
    small, large = tiny_run(tmp_path / "small"), tiny_run(tmp_path / "large", width=8)
    train(small, smooth_images(), device="cpu", stop_at=2)
    small.state_path.rename(large.state_path)
    with pytest.raises(FormatError, match="does not fit"):
        large.model()


def test_averaged_weights_are_those_given(tmp_path: Path) -> None:
    """A run with a moving average gives the averaged model, in eval mode."""
    run = tiny_run(tmp_path / "run", ema=0.5)
    train(run, smooth_images(), device="cpu")
    model, kept = run.model(), weights(run.path)
    assert not model.training
    assert torch.equal(model.decoder.last.weight, kept["ema.module.decoder.last.weight"])
    assert not torch.equal(model.decoder.last.weight, kept["model.decoder.last.weight"])
