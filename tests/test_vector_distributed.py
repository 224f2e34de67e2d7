"""Two processes train as one: statistics, starts and revivals, of layers built before the group."""

from __future__ import annotations

import socket

import pytest

torch = pytest.importorskip("torch")
distributed = pytest.importorskip("torch.distributed")

from layer_cases import DIM, NOISY, descend, latents, state  # noqa: E402

from solvq.vector import METHODS  # noqa: E402

pytestmark = pytest.mark.skipif(
    not (distributed.is_available() and distributed.is_gloo_available()), reason="needs gloo"
)
NAMES = [name for name in METHODS if name not in NOISY]  # noise differs between ranks
CODES = 16


class Net(torch.nn.Module):
    """A linear map before a layer."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.encoder, self.layer = torch.nn.Linear(DIM, DIM), METHODS[name](DIM, CODES)
        torch.nn.init.eye_(self.encoder.weight)  # what an outer wrapper would share
        torch.nn.init.zeros_(self.encoder.bias)

    def forward(self, x):
        found = self.layer(self.encoder(x))
        return found.values.square().mean() + found.loss


def nets(rank: int):
    """All layers, different on each rank until they are started."""
    torch.manual_seed(rank)
    return {name: Net(name) for name in NAMES}


def shares(n: int, seed: int, sizes: tuple[int, int]):
    """Latents of each of two ranks."""
    return latents(n, DIM, seed=seed).detach()[: sum(sizes)].split(sizes)


def part(given, rank: int | None):
    """One rank's share, or all of them for a single process."""
    return torch.cat(given) if rank is None else given[rank]


def train(net, rank: int | None):
    """Start, train and revive on this rank's shares; what the net stores at two moments."""
    layer, generator = net.layer, torch.Generator().manual_seed(11 + (rank or 0))
    layer.initialise(part(shares(100, 20, (70, 30)), rank), generator)
    for seed in range(3):
        net.zero_grad()
        net(part(shares(40, seed, (20, 20)), rank)).backward()
        if rank is not None:  # as DistributedDataParallel
            for parameter in net.parameters():
                distributed.all_reduce(parameter.grad)
                parameter.grad /= 2
        descend(net)
    layer(part(shares(40, 3, (40, 0)), rank))  # one rank without latents
    stored = {"trained": state(net.eval())}
    if layer.replaceable:
        layer.revive(5 + part(shares(60, 7, (20, 40)), rank), generator=generator)
    return {**stored, "revived": state(net)}


def worker(rank: int, port: int, path: str) -> None:
    """One of two processes; saves what it stores."""
    torch.set_num_threads(1)
    built = nets(rank)  # before the group exists
    address = f"tcp://127.0.0.1:{port}"
    distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    torch.save({name: train(net, rank) for name, net in built.items()}, f"{path}/{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """What each of two ranks stores for each layer."""
    path = str(tmp_path_factory.mktemp("ranks"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(worker, (port, path), nprocs=2)
    return [torch.load(f"{path}/{rank}.pt") for rank in range(2)]


@pytest.fixture(scope="module")
def alone():
    """What one process stores that gets all latents."""
    return {name: train(net, None) for name, net in nets(0).items()}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("moment", ["trained", "revived"])
def test_ranks_store_the_same_as_one_process(name, moment, ranks, alone) -> None:
    first, second = (rank[name][moment] for rank in ranks)
    for key, value in first.items():
        assert torch.equal(value, second[key]), key
        torch.testing.assert_close(value, alone[name][moment][key], rtol=1e-4, atol=1e-5, msg=key)
    assert (
        int(first["layer.usage_counts"].sum())
        == (moment == "trained") * 160 * (4 if name == "residual" else 1)
        or not METHODS[name].replaceable
        or name == "soft-convex-sparse"  # counts the codewords mixed, up to two a latent
    )
