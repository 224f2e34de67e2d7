"""What matters in a torch model, and compressed checkpoints in torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from torch import Tensor, nn
from torch.nn import functional

from solvq.checkpoint import FormatError, compress, load
from solvq.checkpoint._importance import Importance
from solvq.runtime import KINDS, importance, load_into, save_importance, state_dict

every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    """Layers start alike in every run."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def generator(seed: int = 0) -> torch.Generator:
    """Random numbers of a test's own."""
    return torch.Generator().manual_seed(seed)


def noise(*shape: int, seed: int = 0) -> Tensor:
    """Inputs that are not centred."""
    return torch.randn(*shape, generator=generator(seed)) + 0.3


class Twice(nn.Module):
    """A layer that is called twice, beside one of another name with the same weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(5, 5)
        self.second = nn.Linear(5, 5)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(input=self.first(x)))


class Language(nn.Module):
    """Embedding whose table is also the matrix of the logits."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(11, 4)
        self.head = nn.Linear(4, 11, bias=False)
        self.head.weight = self.words.weight

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.words(tokens))


def seen(model: nn.Module, layer: nn.Module, batches: list[Tensor]) -> list[Tensor]:
    """Inputs of a layer, by a hook of the test's own."""
    found: list[Tensor] = []
    handle = layer.register_forward_pre_hook(lambda _, args: found.append(args[0].detach()))
    with torch.no_grad():
        for batch in batches:
            model(batch)
    handle.remove()
    return found


def test_second_moments_of_linear_layers() -> None:
    """Diagonal, Hessian and means are those of all inputs of a layer, whatever their shape."""
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    batches = [noise(4, 7, 6), noise(2, 7, 6, seed=1)]
    found = importance(model, batches, "hessian")
    assert set(found) == {f"{i}.weight{end}" for i in (0, 2) for end in ("", ":hessian", ":mean")}
    for i, columns in ((0, 6), (2, 8)):
        x = torch.cat([rows.reshape(-1, columns) for rows in seen(model, model[i], batches)])
        torch.testing.assert_close(found[f"{i}.weight"], x.square().mean(dim=0, keepdim=True))
        torch.testing.assert_close(found[f"{i}.weight:hessian"], x.T @ x / len(x))
        torch.testing.assert_close(found[f"{i}.weight:mean"], x.mean(dim=0))
    plain = importance(model, batches, "inputs")
    assert set(plain) == {"0.weight", "2.weight"}
    torch.testing.assert_close(plain["2.weight"], found["2.weight"])


CONVOLUTIONS: list[dict[str, Any]] = [
    {"kernel_size": 3},
    {"kernel_size": 3, "padding": 1, "groups": 2},
    {"kernel_size": 2, "stride": 2, "groups": 4},
    {"kernel_size": 3, "padding": "same", "dilation": 2},
    {"kernel_size": 3, "padding": 2, "padding_mode": "circular", "bias": False},
    {"kernel_size": 3, "padding": "valid", "stride": 3},
]


@pytest.mark.parametrize("options", CONVOLUTIONS, ids=str)
@pytest.mark.parametrize("kind", [nn.Conv1d, nn.Conv2d])
def test_second_moments_of_convolutions(
    kind: Any, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a single weight of 1, an output is what that weight is multiplied with."""
    torch.manual_seed(0)
    layer = kind(4, 8, **options).double()
    x = noise(2, 4, *((9,) if kind is nn.Conv1d else (9, 8))).double()
    entry = importance(layer, [x], "inputs")["weight"]
    monkeypatch.setattr("solvq.runtime._moments.LARGE", 1)  # image by image
    torch.testing.assert_close(importance(layer, [x], "inputs")["weight"], entry)
    expected = torch.zeros_like(layer.weight)
    with torch.no_grad():
        layer.bias = None
        for column in range(layer.weight[0].numel()):
            layer.weight.zero_().flatten(1)[:, column] = 1.0
            seen = layer(x).square().mean(dim=(0, *range(2, x.ndim)))
            expected.flatten(1)[:, column] = seen
    torch.testing.assert_close(entry.double().expand(expected.shape), expected, rtol=1e-5, atol=0)


def test_hessian_of_a_convolution_is_the_error_of_its_outputs() -> None:
    """Second moments between the columns of the flat kernel; none where there are groups."""
    layer, x = nn.Conv2d(3, 5, 3, stride=2, padding=1), noise(4, 3, 8, 8)
    found = importance(layer, [x], "hessian")
    change = noise(*layer.weight.shape, seed=3)
    flat = change.flatten(1)
    outputs = functional.conv2d(x, change, stride=2, padding=1)
    expected = outputs.square().sum() / outputs[:, 0].numel()
    torch.testing.assert_close((flat @ found["weight:hessian"] * flat).sum(), expected)
    expected = outputs.mean(dim=(0, 2, 3))
    torch.testing.assert_close(flat @ found["weight:mean"], expected)
    assert set(importance(nn.Conv2d(4, 4, 3, groups=4), [noise(1, 4, 8, 8)], "hessian")) == {
        "weight"
    }


def test_images_without_a_batch() -> None:
    """A convolution takes a single image, too."""
    layer, x = nn.Conv2d(3, 5, 3), noise(3, 8, 8)
    one = importance(layer, [x], "inputs")
    torch.testing.assert_close(one, importance(layer, [x[None]], "inputs"))


def test_uses_of_a_shared_weight_add_up() -> None:
    """Three uses, by two layers: the entry sums over them, under the first name."""
    model, x = Twice(), noise(6, 5)
    found = importance(model, [x[:2], x[2:]], "hessian")
    with torch.no_grad():
        inner = model.first(x)
        uses = [x, inner, model.first(inner)]
    total = sum(use.T @ use for use in uses) / 6
    assert set(found) == {"first.weight", "first.weight:hessian", "first.weight:mean"}
    torch.testing.assert_close(found["first.weight:hessian"], total)
    torch.testing.assert_close(found["first.weight"], total.diagonal()[None])
    torch.testing.assert_close(found["first.weight:mean"], torch.cat(uses).mean(dim=0))


def test_embeddings_count_and_tied_tables_sum() -> None:
    """Rows by how often they are asked for, plus the inputs of the logits."""
    model = Language()
    tokens = torch.tensor([[1, 2, 2], [5, 1, 2]])
    counts = torch.bincount(tokens.reshape(-1), minlength=11) / 6
    found = importance(model.words, [tokens], "hessian")
    torch.testing.assert_close(found, {"weight": counts[:, None]})
    tied = importance(model, [tokens], "hessian")
    moments = model.words(tokens).detach().square().mean(dim=(0, 1))
    torch.testing.assert_close(tied, {"words.weight": counts[:, None] + moments})


def test_fisher_is_the_mean_of_squared_gradients_of_samples() -> None:
    """Against one backward pass per sample; the size of the batches does not matter."""
    model = nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3))
    x, y = noise(7, 5), torch.arange(7) % 3

    def loss(output: Tensor, batch: Any) -> Tensor:
        return functional.cross_entropy(output, batch["y"])

    def forward(model: nn.Module, batch: Any) -> Tensor:
        return model(batch["x"])

    expected = {"0.weight": torch.zeros(6, 5), "2.weight": torch.zeros(3, 6)}
    for i in range(7):
        model.zero_grad()
        functional.cross_entropy(model(x[i : i + 1]), y[i : i + 1]).backward()
        for name in expected:
            slope = model.get_parameter(name).grad
            assert slope is not None
            expected[name] += slope.square() / 7
    for size in (1, 3, 7):
        batches = [{"x": a, "y": b} for a, b in zip(x.split(size), y.split(size), strict=True)]
        found = importance(model, batches, "fisher", loss, forward=forward)
        torch.testing.assert_close(found, expected)


def test_fisher_of_own_labels_is_the_information() -> None:
    """On average the default is the exact expectation over the model's labels, also rare ones."""
    model, x = nn.Linear(4, 3, bias=False), noise(1, 4)
    with torch.no_grad():
        model.weight *= 6.0
    shares = model(x).detach().softmax(dim=1)[0]
    exact = (shares * (1 - shares))[:, None] * x.square()
    found = importance(model, [x.expand(1000, 4)])
    torch.testing.assert_close(found["weight"], exact, rtol=0.2, atol=0.0)
    again = importance(model, [x.expand(1000, 4)])
    torch.testing.assert_close(again, found, rtol=0.0, atol=0.0)


def test_outputs_with_logits() -> None:
    """Named logits, first parts, and sequences are understood."""

    class Named(nn.Module):
        def __init__(self, wrap: Any) -> None:
            super().__init__()
            self.layer, self.wrap = nn.Linear(4, 3), wrap
            nn.init.constant_(self.layer.weight, 0.1)
            nn.init.zeros_(self.layer.bias)

        def forward(self, x: Tensor) -> Any:
            return self.wrap(self.layer(x))

    class Output:
        def __init__(self, logits: Tensor) -> None:
            self.logits = logits

    x = noise(3, 5, 4)
    plain, named, first = (
        importance(Named(w), [x]) for w in (lambda y: y, Output, lambda y: (y, 0))
    )
    torch.testing.assert_close(named, plain)
    torch.testing.assert_close(first, plain)


@pytest.mark.parametrize(
    "wrap", [lambda x: x, lambda x: (x,), lambda x: [x], lambda x: {"input": x}]
)
@every_kind
def test_batches_of_every_form(wrap: Any, kind: str) -> None:
    """Tensors, tuples, lists and dicts give the same."""
    model, x = nn.Linear(4, 3), noise(5, 4)
    torch.testing.assert_close(
        importance(model, [wrap(x)], kind), importance(model, iter([x]), kind)
    )


@every_kind
@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_left_as_it_was(kind: str, fails: bool) -> None:
    """Modes, gradients, flags, buffers and hooks, after success and after an error."""
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 3))
    model[1].eval()
    model[3].weight.requires_grad_(False)
    model[0].weight.grad = torch.ones(6, 4)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    batches: list[Any] = [noise(5, 4), noise(5, 9) if fails else noise(3, 4)]
    if fails:
        with pytest.raises(RuntimeError):
            importance(model, batches, kind)
    else:
        assert "3.weight" in importance(model, batches, kind)
    assert [module.training for module in model] == [True, False, True, True]
    assert not model[3].weight.requires_grad
    assert model[0].weight.requires_grad
    assert model[0].weight.grad is not None
    assert bool((model[0].weight.grad == 1).all())
    assert model[3].weight.grad is None
    assert not any(module._forward_pre_hooks for module in model.modules())
    torch.testing.assert_close(dict(model.state_dict()), state)


@every_kind
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_every_dtype(kind: str, dtype: torch.dtype) -> None:
    """Half and double precision give float32 entries near those of single precision."""
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 3)), noise(5, 4)
    single = importance(model, [x], kind)
    found = importance(model.to(dtype), [x.to(dtype)], kind)
    assert {entry.dtype for entry in found.values()} == {torch.float32}
    if kind != "fisher":  # where drawn labels may differ
        torch.testing.assert_close(found, single, rtol=0.1, atol=0.02)


def test_parts_that_no_batch_reaches_have_no_entry() -> None:
    """An unused layer is left out, by kind of measure and by name."""
    model = nn.Sequential(nn.Linear(4, 3))
    model.register_module("unused", nn.Linear(4, 4))

    def forward(whole: nn.Module, batch: Tensor) -> Tensor:
        return whole[0](batch)  # type: ignore[index]

    for kind in ("fisher", "inputs"):
        assert set(importance(model, [noise(2, 4)], kind, forward=forward)) == {"0.weight"}
    deep = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 3))
    assert set(importance(deep, [noise(2, 4)], "inputs", include=("1.*",))) == {"1.weight"}


@pytest.mark.parametrize(
    ("change", "error", "fault"),
    [
        ({"kind": "magic"}, ValueError, "fisher, inputs, hessian"),
        ({"kind": "inputs", "loss": lambda o, b: o.sum()}, ValueError, "needs none"),
        ({"batches": []}, ValueError, "empty"),
        ({"batches": [3]}, TypeError, "batch is a int"),
        ({"batches": [3], "kind": "inputs"}, TypeError, "batch is a int"),
        ({"batches": [(noise(2, 4), noise(3, 4))]}, ValueError, r"\[2, 3\]"),
        ({"batches": [()]}, ValueError, r"\[\]"),
        ({"batches": [noise(0, 4)]}, ValueError, "reached no weight"),
        ({"include": ("none*",)}, ValueError, "none"),
        ({"loss": lambda o, b: o}, ValueError, "scalar"),
        ({"batches": [noise(2, 4) * torch.nan], "kind": "inputs"}, ValueError, "'weight' has NaN"),
        ({"forward": lambda m, b: {"y": m(b)}}, ValueError, "logits"),
    ],
)
def test_bad_arguments(change: dict[str, Any], error: type[Exception], fault: str) -> None:
    """One clear line."""
    arguments = {"batches": [noise(2, 4)]} | change
    with pytest.raises(error, match=fault):
        importance(nn.Linear(4, 3), **arguments)


def test_a_file_of_it_is_read_by_the_checkpoint_room(tmp_path: Path) -> None:
    """What is measured weighs the tensors of the model's checkpoint."""
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.Conv2d(4, 4, 3, groups=4), nn.Flatten(), nn.Linear(16, 3)
    )
    found = importance(model, [noise(6, 2, 6, 6)], "hessian")
    path = tmp_path / "importance.safetensors"
    save_importance(path, found)
    read = Importance(path)
    read.check(model.state_dict())
    for name in ("0.weight", "1.weight", "3.weight"):
        weight = model.get_parameter(name)
        weights = read.weights(name, tuple(weight.shape))
        assert weights is not None
        torch.testing.assert_close(torch.tensor(weights).float(), found[name].expand_as(weight))
    moments = read.hessian("3.weight", 16)
    assert moments is not None
    np.testing.assert_allclose(moments, found["3.weight:hessian"].numpy(), rtol=1e-6)
    assert read.mean("0.weight", 18) is not None


def test_an_importance_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    """It replaces another only when asked, and leaves nothing else behind."""
    path, found = tmp_path / "a.safetensors", {"w": torch.ones(3, 2).T}
    save_importance(path, found)
    with pytest.raises(FileExistsError, match="force"):
        save_importance(path, found)
    save_importance(path, {"w": torch.zeros(2)}, force=True)
    assert [file.name for file in tmp_path.iterdir()] == ["a.safetensors"]
    with pytest.raises(ValueError, match=r"\.safetensors"):
        save_importance(tmp_path / "a.npz", found)
    with pytest.raises(FileNotFoundError):
        save_importance(tmp_path / "none" / "a.safetensors", found)


def test_state_dict_has_the_tensors_that_load_has(tmp_path: Path) -> None:
    """All dtypes, bit for bit, those that NumPy lacks included; they can be written to."""
    rng = np.random.default_rng(0)
    data = {
        "half": rng.standard_normal((40, 40)).astype(np.float16),
        "brain": rng.standard_normal((40, 40)).astype(ml_dtypes.bfloat16),
        "eighth": rng.standard_normal((4, 4)).astype(ml_dtypes.float8_e4m3fn),
        "count": np.array(3),
        "flags": np.array([True, False]),
        "empty": np.zeros((0, 3), np.float32),
    }
    save_file(data, tmp_path / "a.safetensors")
    compress(tmp_path / "a.safetensors", tmp_path / "b.safetensors", n_values=4)
    found, expected = state_dict(tmp_path / "b.safetensors"), load(tmp_path / "b.safetensors")
    assert found.keys() == expected.keys()
    assert found["brain"].dtype == torch.bfloat16
    assert found["eighth"].dtype == torch.float8_e4m3fn
    for name, tensor in found.items():
        assert tuple(tensor.shape) == expected[name].shape
        np.testing.assert_array_equal(
            tensor.double().numpy(), expected[name].astype(np.float64), strict=True
        )
    found["brain"].zero_()


def test_load_into_a_model(tmp_path: Path) -> None:
    """Weights with few values arrive in the model, in its dtypes; what does not fit is refused."""
    model = nn.Sequential(nn.Linear(40, 40), nn.Linear(40, 2)).bfloat16()
    state = {name: tensor.float().numpy() for name, tensor in model.state_dict().items()}
    save_file(state, tmp_path / "a.safetensors")
    path = tmp_path / "b.safetensors"
    compress(tmp_path / "a.safetensors", path, n_values=4)
    other = nn.Sequential(nn.Linear(40, 40), nn.Linear(40, 2)).bfloat16()
    load_into(other, path)
    assert other[0].weight.dtype == torch.bfloat16
    assert other[0].weight.unique().numel() <= 4
    torch.testing.assert_close(other[1].weight, model[1].weight)
    smaller = nn.Sequential(nn.Linear(40, 40))
    assert sorted(load_into(smaller, path, strict=False).unexpected_keys) == ["1.bias", "1.weight"]
    with pytest.raises(FormatError, match=r"b\.safetensors: does not fit the model: .*1.weight"):
        load_into(smaller, path)
    with pytest.raises(FormatError, match="not written by solvq"):
        load_into(model, tmp_path / "a.safetensors")
