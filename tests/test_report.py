"""Runs from their evaluation to tables and figures."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from train_cases import smooth_images, tiny_run
from typer.testing import CliRunner, Result

from solvq.checkpoint import FormatError
from solvq.cli import app
from solvq.report import as_dict, details, markdown, read_run, table, text
from solvq.report._groups import group
from solvq.report._table import Cell, summed_up
from solvq.report.figures import FIGURES, draw
from solvq.report.figures._pictures import principal
from solvq.train import _timing, evaluate, open_run, train, up_to_date

RUNS: dict[str, dict[str, Any]] = {
    "vq": {"quantizer": "nearest-ema"},
    "plain": {"quantizer": "none"},
    "soft": {"quantizer": "soft-convex-relaxed"},
    "soft-1": {"quantizer": "soft-convex-relaxed", "seed": 1},
    "residual": {"quantizer": "residual", "options": {"depth": 2}},
}


@pytest.fixture(scope="module", autouse=True)
def few_repeats() -> Iterator[None]:
    """Time everything twice only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_timing, "REPEATS", 2)
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The images as a file, for the command line."""
    path = tmp_path_factory.mktemp("data") / "gradients.npz"
    images = smooth_images()
    np.savez(path, x_train=images.train.batch(range(30)), x_test=images.test.batch(range(10)))
    return path


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs of a few steps, evaluated."""
    folder = tmp_path_factory.mktemp("runs")
    for name, choices in RUNS.items():
        run = tiny_run(folder / name, data=str(data), **choices)
        train(run, smooth_images())
        evaluate(run, features="none")
    return folder


@pytest.fixture(scope="module")
def figures(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """All figures of the runs."""
    return draw([read_run(trained / name) for name in RUNS], tmp_path_factory.mktemp("figures"))


@pytest.fixture
def runs(trained: Path, tmp_path: Path) -> Path:
    """A copy of the runs that a test may change."""
    return Path(shutil.copytree(trained, tmp_path / "runs"))


def change(run: Path, file: str, **figures: Any) -> None:
    """Replace figures in a JSON file of a run."""
    found = json.loads((run / file).read_text())
    (run / file).write_text(json.dumps(found | figures))


def command(*arguments: object) -> Result:
    """Outcome of a command line, run in this process."""
    return CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)


# Evaluation


def test_evaluation_is_what_the_run_does(trained: Path) -> None:
    images = smooth_images()
    x = images.test.batch(range(10)).astype(np.float64) / 255
    for name in RUNS:
        run = open_run(trained / name)
        found = json.loads((run.path / "eval.json").read_text())
        arrays = read_run(run.path).arrays()
        assert found["images"]["n"] == 10
        shown = arrays["reconstructions"] / 255
        assert found["mse"] == pytest.approx(np.mean((shown - x) ** 2), rel=0.05, abs=1e-4)
        assert found["mse"] == pytest.approx(run.metrics()[-1]["mse"], rel=1e-4)
        assert found["mse_from_bits"] == pytest.approx(found["mse"], rel=1e-4)
        away = ((arrays["latents"] - arrays["values"]) ** 2).sum(1)
        assert found["quantization_error"] == pytest.approx(np.mean(away), rel=1e-3, abs=1e-12)
        assert np.array_equal(arrays["originals"], images.test.batch(range(10)))
        assert set(found["absent"]) == {"ssim", "ms_ssim", "frechet"}


def test_bits_of_each_kind(trained: Path) -> None:
    plain, hard, several, soft = (
        json.loads((trained / name / "eval.json").read_text())
        for name in ("plain", "vq", "residual", "soft")
    )
    assert plain["bits_per_latent"] == {"nominal": 128, "entropy": None, "sent": 128}
    assert hard["bits_per_latent"]["nominal"] == hard["bits_per_latent"]["sent"] == 3
    assert 0 <= hard["bits_per_latent"]["entropy"] <= 3
    assert several["bits_per_latent"]["sent"] == 6
    assert soft["bits_per_latent"]["sent"] > 32
    for found in (plain, hard, several, soft):
        per_pixel = found["latents_per_image"] / 64
        sent = found["bits_per_latent"]["sent"]
        assert found["bits_per_pixel"]["sent"] == pytest.approx(sent * per_pixel)
    assert "used" not in plain
    assert [point["name"] for point in hard["points"]] == ["indices"]
    assert len(soft["points"]) == 6


def test_times_are_there_where_they_can_be(trained: Path) -> None:
    plain, hard = (
        json.loads((trained / name / "eval.json").read_text())["timing"] for name in ("plain", "vq")
    )
    assert "quantizer_ms" not in plain
    for times in (plain["step_ms"], hard["step_ms"], hard["quantizer_ms"], hard["forward_ms"]):
        assert 0 < times["min"] <= times["median"]
        assert times["ratio"] == times["min"] / times["reference_min"]


def test_evaluation_is_up_to_date_or_not(runs: Path) -> None:
    run = open_run(runs / "vq")
    state = (runs / "vq" / "state.safetensors").read_bytes()
    assert up_to_date(run, features="none")
    assert up_to_date(run, features="auto") is None
    assert up_to_date(run, features="none", n_images=3) is None
    assert up_to_date(run, features="none", images=smooth_images()) is None
    found = evaluate(run, features="none", n_images=3, images=smooth_images(seed=1))
    assert found["images"]["n"] == 3
    assert up_to_date(run, features="none") is None
    change(run.path, "eval.json", step=4)
    assert up_to_date(run, features="none", n_images=3, images=smooth_images(seed=1)) is None
    assert (runs / "vq" / "state.safetensors").read_bytes() == state
    assert not [path.name for path in run.path.iterdir() if "part" in path.name]
    with pytest.raises(ValueError, match="n_images is 0; give at least 1"):
        evaluate(run, n_images=0)


# Tables


def test_table_groups_seeds_and_starts_with_the_plain_one(trained: Path) -> None:
    found = table([read_run(trained / name) for name in RUNS])
    assert [row.name for row in found.rows] == [
        "plain autoencoder",
        "nearest-ema",
        "soft-convex-relaxed",
        "residual",
    ]
    plain, _, soft, _ = found.rows
    assert (soft.runs, soft.seeds) == (("soft", "soft-1"), (0, 1))
    errors = [read_run(trained / name).found["mse"] for name in ("soft", "soft-1")]
    assert soft.cells["mse"].mean == pytest.approx(1e3 * np.mean(errors))
    assert soft.cells["mse"].half_range == pytest.approx(1e3 * abs(errors[0] - errors[1]) / 2)
    base = read_run(trained / "plain").found["mse"]
    assert soft.cells["over_plain"].mean == pytest.approx(np.mean(errors) / base)
    assert plain.cells["over_plain"] == Cell(1.0)
    assert plain.cells["n_codes"] == Cell(None)
    assert not any(column.key == "ssim" for column in found.columns)
    assert any("half the range" in note for note in found.notes)


def test_table_without_a_plain_autoencoder_says_so(trained: Path, runs: Path) -> None:
    some = [read_run(trained / name) for name in ("vq", "soft")]
    found = table(some)
    assert found.columns[-1].key == "over_plain"
    assert all(row.cells["over_plain"].mean is None for row in found.rows)
    assert any(note.startswith("no plain autoencoder") for note in found.notes)
    config = json.loads((runs / "plain" / "config.json").read_text())
    change(runs / "plain", "config.json", config=config["config"] | {"width": 5})
    other = table([*some, read_run(runs / "plain")])
    assert [row.cells["over_plain"].mean for row in other.rows] == [1.0, None, None]
    assert any("no plain autoencoder has the same" in note for note in other.notes)


def test_names_tell_configurations_apart(trained: Path) -> None:
    one = read_run(trained / "vq")
    small = replace(one, config=one.config | {"n_codes": 4})
    revived = replace(one, config=one.config | {"revive_every": 5, "options": {"decay": 0.9}})
    names = [found.name for found in group([one, small, revived])]
    assert names == [
        "nearest-ema, n_codes=8, no options, revive_every=0",
        "nearest-ema, n_codes=4, no options, revive_every=0",
        "nearest-ema, n_codes=8, decay=0.9, revive_every=5",
    ]
    assert [found.name for found in group([one, read_run(trained / "soft")])] == [
        "nearest-ema",
        "soft-convex-relaxed",
    ]


def test_distances_on_different_networks_are_left_out(trained: Path) -> None:
    def on(name: str, network: str) -> Any:
        one = read_run(trained / name)
        distance = {"value": 2.0, "network": network, "about": "x", "n_features": 3, "n_images": 9}
        return replace(one, found=one.found | {"frechet": distance})

    same = table([on("vq", "a"), on("soft", "a")])
    assert same.rows[0].cells["frechet"] == Cell(2.0)
    assert any("9 images" in note for note in same.notes)
    mixed = table([on("vq", "a"), on("soft", "b")])
    assert mixed.rows[0].cells["frechet"] == Cell(None)
    assert any("differ: a, b" in note for note in mixed.notes)


def test_unfinished_runs_are_named(trained: Path) -> None:
    one, other = read_run(trained / "vq"), read_run(trained / "soft")
    short = replace(one, found=one.found | {"step": 4})
    assert "not trained to their end: vq at step 4" in table([short, other]).notes
    assert not any("not trained" in note for note in table([one, other]).notes)


def test_summed_up() -> None:
    assert summed_up([1.0, None, 4.0, float("nan")]) == Cell(2.5, 1.5)
    assert summed_up([2]) == Cell(2.0)
    assert summed_up([None]) == Cell(None)


def test_renderings_say_the_same(trained: Path) -> None:
    found = table([read_run(trained / name) for name in RUNS])
    lines, marked, plain = text(found), markdown(found), as_dict(found)
    assert len({len(line) for line in lines[:5]}) == 1
    assert len({line.count("|") for line in marked[:6]}) == 1
    cells = [cell.strip() for cell in marked[4].split("|")[1:-1]]
    for cell in cells:
        assert cell in lines[3]
    assert cells[0] == "soft-convex-relaxed (2 seeds)"
    assert plain["rows"][2]["figures"]["mse"]["mean"] == found.rows[2].cells["mse"].mean
    assert f"{found.rows[2].cells['mse'].mean:.3f} ±" in lines[3]
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain


def test_details_list_every_point(trained: Path) -> None:
    lines = list(details(read_run(trained / "soft")))
    for point in read_run(trained / "soft").found["points"]:
        assert any(point["name"] in line and f"{point['mse']:.4e}" in line for line in lines)
    assert any("ms_ssim" in line and "8 pixels" in line for line in lines)


# Files


def test_bad_records(runs: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no run is there"):
        read_run(runs / "nothing")
    (runs / "vq" / "eval.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"run solvq eval .*vq first"):
        read_run(runs / "vq")
    for broken in ("{", "[]", '{"points": []}'):
        (runs / "soft" / "eval.json").write_text(broken)
        with pytest.raises(FormatError, match="soft"):
            read_run(runs / "soft")
    (runs / "plain" / "eval.npz").write_bytes(b"junk")
    with pytest.raises(FormatError, match=r"eval\.npz"):
        read_run(runs / "plain").arrays()
    (runs / "plain" / "eval.npz").unlink()
    with pytest.raises(FileNotFoundError, match="--force"):
        read_run(runs / "plain").arrays()
    with pytest.raises(ValueError, match="no run"):
        table([])


# Figures


def test_figures_are_of_the_data(figures: list[Path], runs: Path, tmp_path: Path) -> None:
    assert [path.stem for path in figures] == [name for name in FIGURES if name != "sweeps"]
    shutil.rmtree(runs / "vq")
    shutil.copytree(runs / "residual", runs / "vq")
    other = draw([read_run(runs / name) for name in RUNS], tmp_path)
    for before, after in zip(figures, other, strict=True):
        assert before.read_bytes() != after.read_bytes(), before.name


def test_lines_of_figures_are_the_records(trained: Path) -> None:
    groups = group([read_run(trained / name) for name in ("vq", "soft", "soft-1")])
    axes = FIGURES["convergence"][0](groups).axes[0]
    assert len(axes.lines) == 3
    lines = groups[0].runs[0].metrics()
    assert list(axes.lines[0].get_xdata()) == [line["step"] for line in lines] == [2, 4, 6]
    assert list(axes.lines[0].get_ydata()) == [line["mse"] for line in lines]
    shares = groups[0].runs[0].arrays()["usage"]
    drawn = FIGURES["usage"][0](groups).axes[0].lines[0].get_ydata()
    assert list(drawn[:-1]) == pytest.approx(list(np.sort(shares[0])[::-1].clip(1e-3 / 8) * 8))
    bits = FIGURES["error-against-bits"][0](groups).axes[0]
    points = groups[1].runs[0].found["points"]
    assert sorted(bits.lines[1].get_ydata()) == pytest.approx(sorted(p["mse"] for p in points))


def test_sweep_is_drawn_over_what_differs(trained: Path, runs: Path) -> None:
    groups = group([read_run(trained / name) for name in ("plain", "vq", "soft")])
    assert FIGURES["sweeps"][0](groups) is None
    config = json.loads((runs / "soft" / "config.json").read_text())["config"]
    more = config | {"quantizer": "nearest-ema", "n_codes": 32}
    change(runs / "soft", "config.json", config=more)
    names = [trained / "plain", runs / "soft", trained / "vq"]
    swept = group([read_run(path) for path in names])
    drawn = FIGURES["sweeps"][0](swept)
    assert drawn is not None
    plain, line = drawn.axes[0].lines
    assert list(line.get_xdata()) == [8, 32]
    errors = [read_run(path).found["mse"] for path in (trained / "vq", runs / "soft")]
    assert list(line.get_ydata()) == pytest.approx(errors)
    assert plain.get_ydata()[0] == pytest.approx(read_run(trained / "plain").found["mse"])


def test_contact_sheet_repeats_originals_only_where_they_differ(trained: Path, runs: Path) -> None:
    same = group([read_run(trained / name) for name in ("plain", "vq")])
    names = [axes.get_ylabel() for axes in FIGURES["reconstructions"][0](same).axes]
    assert names == ["originals", "plain autoencoder", "nearest-ema"]
    evaluate(open_run(runs / "vq"), features="none", images=smooth_images(seed=3))
    mixed = group([read_run(runs / name) for name in ("plain", "vq")])
    names = [axes.get_ylabel() for axes in FIGURES["reconstructions"][0](mixed).axes]
    assert names == ["originals", "plain autoencoder", "originals", "nearest-ema"]


def test_principal_directions() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(500, 3)) * (1, 9, 3) + 5
    mean, directions = principal(rows)
    assert mean == pytest.approx(rows.mean(0))
    assert np.abs(directions) == pytest.approx(np.array([[0, 0], [1, 0], [0, 1]]), abs=0.05)
    assert principal(rows[:, :1])[1].tolist() in ([[1.0, 0.0]], [[-1.0, 0.0]])


# Command


def test_command_measures_only_what_is_new(runs: Path, figures: list[Path], tmp_path: Path) -> None:
    paths = [runs / name for name in RUNS]
    before = [(path / "eval.json").read_text() for path in paths]
    change(paths[1], "eval.json", step=0)
    drawn = tmp_path / "plots"
    done = command("eval", *paths, "--features", "none", "--table", "--plot", drawn)
    assert (done.exit_code, done.stderr) == (0, "")
    for path in figures:
        assert (drawn / path.name).read_bytes() == path.read_bytes(), path.name
    assert done.stdout.splitlines()[1].startswith("plain autoencoder")
    assert {path.name for path in drawn.iterdir()} == {path.name for path in figures}
    assert (paths[0] / "eval.json").read_text() == before[0]
    assert json.loads((paths[1] / "eval.json").read_text())["step"] == 6
    forced = command("eval", paths[0], "--features", "none", "--force", "--json")
    assert (paths[0] / "eval.json").read_text() != before[0]  # the times and the date
    found = json.loads(forced.stdout)[str(paths[0])]
    assert found["mse"] == json.loads(before[0])["mse"]


def test_command_on_other_images(runs: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.npz"
    images = smooth_images(seed=8)
    np.savez(other, x_train=images.train.batch(range(30)), x_test=images.test.batch(range(10)))
    line = ["eval", runs / "vq", "--features", "none", "--data", other, "--n-images", 4]
    done = command(*line, "--table", "--json")
    assert done.exit_code == 0
    row = json.loads(done.stdout)["rows"][0]
    assert row["figures"]["mse"]["mean"] == pytest.approx(
        1e3 * json.loads((runs / "vq" / "eval.json").read_text())["mse"]
    )
    shown = command(*line)
    assert "4 test images of other" in shown.stdout
    assert command(*line, "--markdown").stdout.startswith("| method | K |")


def test_command_failures(runs: Path) -> None:
    done = command("eval", runs / "nothing")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "no run" in done.stderr
    done = command("eval", runs / "vq", "--features", "eyes")
    assert done.exit_code == 1
    assert "eyes" in done.stderr
    (runs / "soft" / "state.safetensors").unlink()
    assert command("eval", runs / "soft", "--force").exit_code == 1
