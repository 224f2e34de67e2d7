"""The compression benchmark: layouts of others, bytes, verdicts, a run that goes on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bench.compression import run as running
from bench.compression.importance import Calibration
from bench.compression.judge import bits_per_weight, relative_error, store, weights
from bench.compression.methods import METHODS
from bench.compression.methods.nf4 import dynamic_levels, levels
from bench.compression.models import MODELS, Measure
from bench.compression.models._base import Model, Tensors, cosine, divergence
from bench.compression.place import Place
from bench.compression.results import Job, Results, append
from bench.compression.rows import AT_SIZE, SOLVQ, unknown
from bench.compression.tables import goals, judgement, table, verdicts
from bench.compression.worker import guarded, outcome, wanted

BYTES = {  # of 10 x 33 weights: blocks of 32 and 64 do not divide them
    ("k-means", 4.0): 16 * 4 + 165,
    ("k-means", 3.0): 8 * 4 + 124,
    ("k-means-half", 2.0): 4 * 2 + 83,
    ("nf4", 4.0): 165 + 6 * 4,
    ("nf4-double", 4.0): 165 + 6 + 4 + 4,
    ("q4_0", 4.0): 11 * 18,
    ("q8_0", 8.0): 11 * 34,
    ("int8", 8.0): 330 + 10 * 4,
    ("int4-32", 4.0): 165 + 11 * 4,
    ("int4-64", 4.0): 165 + 6 * 4,
    ("int4-128", 4.0): 165 + 3 * 4,
    ("hqq", 8.0): 330 + 6 * 4,
    ("hqq", 4.0): 165 + 6 * 4,
    ("hqq", 3.0): 33 * 4 + 6 * 4,
    ("hqq", 2.0): 83 + 6 * 4,
}
each = pytest.mark.parametrize("name", METHODS)


def sample(*shape: int, seed: int = 0) -> np.ndarray:
    """Normal weights in rows of different size."""
    rng = np.random.default_rng(seed)
    scale = np.exp(rng.standard_normal((shape[0],) + (1,) * (len(shape) - 1)))
    return (rng.standard_normal(shape) * scale).astype(np.float32)


@pytest.mark.parametrize(("name", "bits"), BYTES)
def test_bytes_by_hand(name: str, bits: float) -> None:
    """Codes without gaps, and each scale, zero point and table entry once."""
    assert sum(METHODS[name].code(sample(10, 33), bits).parts.values()) == BYTES[name, bits]


@each
def test_more_bits_less_error(name: str) -> None:
    """Tensors of any shape come back in their shape, the closer the more bits there are."""
    x = sample(40, 3, 3, 5)
    errors = []
    for bits in METHODS[name].rates:
        found = METHODS[name].code(x, bits).restored
        assert found.shape == x.shape
        assert found.dtype == np.float32
        errors.append(float(((x - found) ** 2).sum() / (x**2).sum()))
    assert errors == sorted(errors)
    assert errors[0] < {8.0: 1e-3, 4.0: 0.05}[METHODS[name].rates[0]]


@each
@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
def test_constant_and_zero(name: str) -> None:
    """Nothing is divided by zero."""
    for x in (np.zeros((40, 40), np.float32), np.full((40, 40), 0.25, np.float32)):
        found = METHODS[name].code(x, METHODS[name].rates[0]).restored
        np.testing.assert_allclose(found, x, atol=0.002)


@pytest.mark.parametrize(("name", "kind"), [("q4_0", "Q4_0"), ("q8_0", "Q8_0")])
def test_gguf(name: str, kind: str) -> None:
    """Bit for bit and byte for byte what the package stores."""
    gguf = pytest.importorskip("gguf")
    x, wanted_kind = sample(24, 96), getattr(gguf.GGMLQuantizationType, kind)
    stored = gguf.quants.quantize(x, wanted_kind)
    coded = METHODS[name].code(x, METHODS[name].rates[0])
    np.testing.assert_array_equal(coded.restored, gguf.quants.dequantize(stored, wanted_kind))
    assert sum(coded.parts.values()) == stored.nbytes


def test_q4_by_hand() -> None:
    """The extreme weight gets code 0, which is -8 steps; the others are rounded."""
    x = np.zeros((1, 32), np.float32)
    x[0, :4] = [-4.0, 1.0, 0.7, 3.9]
    found = METHODS["q4_0"].code(x, 4.0).restored[0]
    np.testing.assert_array_equal(found[:5], [-4.0, 1.0, 0.5, 3.5, 0.0])


def test_nf4_levels() -> None:
    """The table as the QLoRA paper prints it (appendix E), and 256 distinct dynamic levels."""
    published = [-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453]
    published += [-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0]
    published += [0.07958029955625534, 0.16093020141124725, 0.24611230194568634]
    published += [0.33791524171829224, 0.44070982933044434, 0.5626170039176941]
    published += [0.7229568362236023, 1.0]
    np.testing.assert_allclose(levels(), published, atol=1e-6)
    assert len(np.unique(dynamic_levels())) == 256


def test_nf4_takes_the_nearest_level() -> None:
    """Of levels times the scale, no other is nearer."""
    x = sample(8, 64)
    scale = np.abs(x).max(axis=1, keepdims=True)
    found = METHODS["nf4"].code(x, 4.0).restored
    best = np.abs(x[..., None] - scale[..., None] * levels()).min(axis=-1)
    np.testing.assert_allclose(np.abs(x - found), best, atol=1e-5)


def test_exact_kmeans_is_no_worse() -> None:
    """One start of Lloyd's method against the optimum on float16."""
    x = sample(40, 64).astype(np.float16).astype(np.float32)
    lloyd, exact = (METHODS[name].code(x, 3.0).restored for name in ("k-means", "k-means-half"))
    assert ((x - exact) ** 2).sum() <= ((x - lloyd) ** 2).sum() * 1.0001


def test_int8_against_torchao() -> None:
    """The package's scales and codes; a weight between two codes may go to either."""
    quantization = pytest.importorskip("torchao.quantization")
    import torch  # noqa: PLC0415

    layer = torch.nn.Linear(64, 8, bias=False)
    x = layer.weight.detach().numpy().copy()
    net = torch.nn.Sequential(layer)
    quantization.quantize_(net, quantization.Int8WeightOnlyConfig())
    theirs, ours = net[0].weight.dequantize().numpy(), METHODS["int8"].code(x, 8.0).restored
    assert ((x - ours) ** 2).sum() == pytest.approx(((x - theirs) ** 2).sum(), rel=1e-5)


def tensors() -> Tensors:
    """Two matrices to compress; a bias, a small matrix and integers to keep."""
    return {
        "a": sample(32, 64),
        "b": sample(16, 4, 4, 4, seed=1),
        "bias": np.ones(2000, np.float32),
        "small": sample(4, 4),
        "steps": np.arange(6).reshape(2, 3),
    }


def test_bytes_of_a_file() -> None:
    """Everything in the file counts, and kept tensors do not count as bits of the others."""
    given = tensors()
    assert weights(given) == ["a", "b"]
    restored, nbytes = store(METHODS["q8_0"], 8.0, given)
    payload = (2048 + 1024) // 32 * 34
    kept = 4 * 2000 + 4 * 16 + given["steps"].nbytes
    header = nbytes - payload - kept
    assert 200 < header < 800
    assert bits_per_weight(given, nbytes) == pytest.approx(8.5 + 8 * header / 3072)
    assert restored["steps"] is given["steps"]
    assert 0 < relative_error(given, restored) < 1e-4
    assert relative_error(given, given) == 0


class Fake(Model):
    """Its quality is the sum of the weights."""

    name, task = "minilm", "a fake"
    measures = (Measure("spearman", True, ""), Measure("cosine", True, ""))

    def shipped(self) -> Path:
        """Return the file, written at the first call."""
        from safetensors.numpy import save_file  # noqa: PLC0415

        path = self.place.build / "fake.safetensors"
        if not path.is_file():
            save_file(tensors(), path)
        return path

    def calibration(self) -> Calibration:
        """Nothing to measure."""
        return Calibration(lambda state: state["a"], [])

    def outputs(self, tensors: Tensors) -> Tensors:
        """Sum of a matrix."""
        return {"sum": tensors["a"].sum()}

    def score(self, outputs: Tensors, reference: Tensors) -> dict[str, float]:
        """Distance from the sum."""
        return {"spearman": -abs(float(outputs["sum"] - reference["sum"])), "cosine": 1.0}


def test_outcome_of_solvq_and_others(tmp_path: Path) -> None:
    """Real bytes, errors and quality of one competitor, of solvq, and of the file itself."""
    model = Fake(Place(tmp_path))
    given = model.tensors()
    whole, nf4, tables = (
        outcome(model, given, Job("minilm", name, bits))
        for name, bits in (("float", 32.0), ("nf4", 4.0), ("solvq-tensor", 4.0))
    )
    assert whole["relative_error"] == 0
    assert whole["nbytes"] == (tmp_path / "fake.safetensors").stat().st_size
    assert whole["quality"]["spearman"] == 0
    assert nf4["nbytes"] < whole["nbytes"]
    assert tables["settings"] == {"n_values": 16}
    assert 0 < tables["relative_error"] < 0.1
    assert nf4["quality"]["spearman"] < 0


def test_settings_that_do_not_exist_are_skipped(tmp_path: Path, monkeypatch) -> None:
    """A row for settings to come says what is missing; a failure is told in a line."""
    assert unknown({"n_values": 2, "n_jobs": 1, "no_such": 2}) == ["no_such"]
    monkeypatch.setitem(AT_SIZE, "auto", {"no_such": True})
    job = Job("minilm", "solvq-auto=nf4", 4.0, 1234)
    assert wanted(job) == {"size": 1234, "no_such": True}
    found = outcome(Fake(Place(tmp_path)), {}, job)
    assert found["status"] == "skipped"
    assert "no_such" in found["reason"]
    assert guarded(job, lambda: 1 / 0)["reason"] == "ZeroDivisionError: division by zero"


def test_results_survive(tmp_path: Path, monkeypatch) -> None:
    """A line cut short is ignored, the last one of a key counts, and some can be forgotten."""
    path = tmp_path / "results.jsonl"
    job = Job("g2p", "nf4", 4.0)
    first = {"model": "g2p", "method": "nf4", "bits": 4.0, "status": "failed", "reason": "x"}
    append(path, first)
    assert not Results(path).done(job)
    with path.open("a") as file:
        file.write('{"model": "g2p", "meth')
    append(path, first | {"status": "ok", "nbytes": 10, "size": None})
    results = Results(path)
    assert results.done(job)
    assert not results.done(job._replace(size=9))
    assert not results.done(job._replace(bits=3.0))
    monkeypatch.setattr(running, "unknown", lambda settings: [])
    equal = running.equal_jobs([job, Job("g2p", "solvq-row", 4.0)], results)
    assert [(each.method, each.size) for each in equal] == [
        (f"solvq-{row}=nf4", 10) for row in AT_SIZE
    ]
    results.forget([job])
    assert Results(path).found == {}


def test_a_job_that_ends_its_process(tmp_path: Path, monkeypatch, capfd) -> None:
    """It is reported, and the next ones are done in another process."""
    results = Results(tmp_path / "results.jsonl")
    jobs = [Job("g2p", name, 4.0) for name in ("nf4", "q4_0", "int4-32")]
    calls = []

    def worker(left, *_):
        calls.append([job.method for job in left])
        for job in left:
            (tmp_path / "running").write_text(json.dumps(job))
            if job.method == "q4_0":
                return -9, ""
            done = {"model": "g2p", "method": job.method, "bits": 4.0, "status": "ok"}
            append(results.path, done | {"size": None})
        return 0, ""

    monkeypatch.setattr(running, "worker", worker)
    assert running.run(jobs, results, Place(tmp_path), {}, 1.0) == ""
    assert calls == [["nf4", "q4_0", "int4-32"], ["int4-32"]]
    assert results.found["g2p", "q4_0", 4.0]["reason"] == "crashed with SIGKILL"
    monkeypatch.setattr(running, "worker", lambda *_: (1, "no data\n"))
    (tmp_path / "running").unlink()
    assert running.run(jobs[1:], results, Place(tmp_path), {}, 1.0) == "no data"


def result(model: str, method: str, bits: float, quality: float, error: float = 0.1) -> dict:
    """A result that went well."""
    names = [measure.name for measure in MODELS[model].measures]
    return {
        "model": model,
        "method": method,
        "bits": bits,
        "status": "ok",
        "nbytes": 100,
        "bits_per_weight": 4.0,
        "relative_error": error,
        "cpu": 1.0,
        "commit": "c",
        "quality": dict.fromkeys(names, quality),
    }


def test_verdicts() -> None:
    """More is better for a correlation, less for an error rate; both are told."""
    found = [result("minilm", "nf4", 4.0, 0.5), result("g2p", "nf4", 4.0, 0.5)]
    found += [result("minilm", "solvq-auto=nf4", 4.0, 0.6, 0.05)]
    found += [result("g2p", "solvq-auto=nf4", 4.0, 0.6, 0.05)]
    words = {each.model: each.text for each in verdicts(found)}
    assert words == {"minilm": "better", "g2p": "worse"}
    text = judgement(verdicts(found))
    assert "nf4: solvq-auto at equal bytes: better 1, equal 0, worse 1 (of 2)" in text
    assert "error x 0.500" in text
    found += [result("minilm", "solvq-error", 4.0, 0.6, 0.0054)]
    assert [goal.met for goal in goals(found)] == [True]
    skipped = {"model": "g2p", "method": "solvq-auto", "bits": 3.0, "status": "skipped"}
    text = table("g2p", [*found[1:2], skipped | {"reason": "not yet"}])
    assert "not yet" in text
    assert "0.5000" in text


def test_jobs() -> None:
    """Only rates that a method has, and the file as it is."""
    jobs = running.jobs_of("g2p", ["float", "nf4", "hqq", "solvq-auto", "equal"], [4.0, 2.5])
    assert [job.key[1:] for job in jobs] == [
        *(("float", 32.0), ("nf4", 4.0), ("hqq", 4.0)),
        *(("solvq-auto", 4.0), ("solvq-auto", 2.5)),
    ]
    assert set(running.CHOICES) > set(METHODS) | set(SOLVQ)


def test_figure(tmp_path: Path) -> None:
    """Drawn twice, it is the same file."""
    pytest.importorskip("matplotlib")
    from bench.compression.figure import STYLES, draw  # noqa: PLC0415

    assert set(STYLES) == {*METHODS, *SOLVQ}
    found = [result("g2p", "float", 32.0, 0.1), result("g2p", "nf4", 4.0, 0.2)]
    facts = {"command": "c", "commit": "d", "processor": "p"}
    for name in ("a.svg", "b.svg"):
        draw(found, facts, tmp_path / name)
    assert (tmp_path / "a.svg").read_text() == (tmp_path / "b.svg").read_text()


def test_measures_by_hand() -> None:
    """Angles and divergences."""
    x = np.array([[1.0, 0.0], [0.0, 2.0]])
    assert cosine(x, x[::-1]) == 0
    assert cosine(x, 3 * x) == pytest.approx(1)
    assert divergence(x, x) == 0
    even, sure = np.zeros((1, 2)), np.array([[0.0, np.log(3.0)]])
    assert divergence(even, sure) == pytest.approx(np.log(2 / np.sqrt(3)))


def test_padding_as_in_tensorflow() -> None:
    """The odd pixel is at the end: left, right, top, bottom."""
    from bench.networks.efficientnet import same_padding  # noqa: PLC0415

    assert same_padding((224, 224), 3, 2) == [0, 1, 0, 1]
    assert same_padding((7, 8), 5, 1) == [2, 2, 2, 2]


def test_file_as_module() -> None:
    """Parameters have the names of the file, gradients reach them, and the moments stay."""
    torch = pytest.importorskip("torch")
    from bench.networks.stateful import Stateful  # noqa: PLC0415

    state = {"a.0.weight": torch.eye(2), "a.0.scale": torch.ones(2), "steps": torch.tensor(3)}
    module = Stateful(state, lambda state, x: x @ state["a.0.weight"] * state["a.0.scale"])
    assert [name for name, _ in module.named_parameters()] == ["a.0.weight", "a.0.scale"]
    assert set(module.state_dict()) == set(state)
    weight = dict(module.named_parameters())["a.0.weight"].requires_grad_()
    module(torch.tensor([[1.0, 2.0]])).sum().backward()
    np.testing.assert_array_equal(weight.grad, [[1, 1], [2, 2]])


def test_g2p_for_torch_is_that_of_the_example() -> None:
    """Told what the example says, it would have said the same at every step."""
    torch = pytest.importorskip("torch")
    from bench.networks.examples import example  # noqa: PLC0415
    from bench.networks.g2p import forward  # noqa: PLC0415

    module, rng = example("g2p"), np.random.default_rng(0)
    sizes = {"enc_emb": (29, 8), "dec_emb": (74, 8), "fc_w": (74, 12), "fc_b": (74,)}
    for side in ("enc", "dec"):
        sizes |= {f"{side}_w_ih": (36, 8), f"{side}_w_hh": (36, 12)}
        sizes |= {f"{side}_b_ih": (36,), f"{side}_b_hh": (36,)}
    weights = {name: rng.standard_normal(size).astype(np.float32) for name, size in sizes.items()}
    said = module.Network(weights).predict(["quantize"])[0]
    letters = [module.GRAPHEMES.index(letter) for letter in (*"quantize", "</s>")]
    told = [module.PHONEMES.index(sound) for sound in ("<s>", *said[:-1])]
    state = {name: torch.from_numpy(array) for name, array in weights.items()}
    logits = forward(state, torch.tensor([letters]), torch.tensor([told]))[0]
    assert [module.PHONEMES[i] for i in logits.argmax(1).tolist()] == said
    assert len(set(said)) > 1


def test_language_model_learns() -> None:
    """After some steps on a text that repeats, fewer bits a byte; each token counts once."""
    pytest.importorskip("torch")
    from bench.networks.language_model import Shape, start, windows  # noqa: PLC0415
    from bench.networks.train_language_model import bits_per_byte, train  # noqa: PLC0415

    text = np.frombuffer(b"in the beginning was the word " * 40, np.uint8)
    tokens = (text & 31).astype(np.int64)
    seen = sum(int(counts.sum()) for _, _, counts in windows(tokens[:101], 16, rows=4))
    assert seen == 100
    state = start(Shape(vocabulary=32, width=16, blocks=1, context=16), seed=0)
    before = bits_per_byte(state, tokens, len(tokens))
    assert before == pytest.approx(5, abs=0.1)  # nothing learned yet: 32 equal chances
    trained = train(state, tokens, steps=25)
    assert bits_per_byte(trained, tokens, len(tokens)) < 4.3
    assert bits_per_byte(state, tokens, len(tokens)) == before
