"""The adapter against the package whose call it repeats."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
package = pytest.importorskip("vector_quantize_pytorch")

from layer_cases import latents  # noqa: E402

from solvq.vector import VectorQuantize  # noqa: E402

LAYOUTS = [
    ({}, (2, 9, 8)),
    ({}, (9, 8)),
    ({"channel_last": False}, (2, 8, 9)),
    ({"accept_image_fmap": True}, (2, 8, 3, 4)),
    ({"codebook_dim": 4}, (2, 9, 8)),
    ({"codebook_dim": 4, "accept_image_fmap": True}, (2, 8, 3, 4)),
    ({"decay": 0.95, "commitment_weight": 0.25}, (2, 9, 8)),
]


def pair(**arguments):
    """Their layer and ours with the same codewords and maps."""
    torch.manual_seed(0)
    theirs = package.VectorQuantize(8, 16, **arguments)
    ours = VectorQuantize(8, 16, **arguments)
    for side in ("project_in", "project_out"):
        getattr(ours, side).load_state_dict(getattr(theirs, side).state_dict())
    book = theirs._codebook
    ours.layer.table.copy_(book.embed[0])
    ours.layer.ema_sums.copy_(book.embed_avg[0])
    ours.layer.ema_counts.copy_(book.cluster_size[0])
    return theirs, ours


@pytest.mark.parametrize(("arguments", "shape"), LAYOUTS)
def test_same_results_over_training_and_eval(arguments, shape) -> None:
    theirs, ours = pair(**arguments)
    for seed in range(4):
        z = latents(*shape, seed=seed)
        other = z.detach().clone().requires_grad_()
        a, b = theirs(z), ours(other)
        torch.testing.assert_close(b[0], a[0])
        assert torch.equal(b[1], a[1])
        torch.testing.assert_close(b[2], a[2])
        (a[0].square().sum() + a[2]).backward()
        (b[0].square().sum() + b[2]).backward()
        torch.testing.assert_close(other.grad, z.grad, rtol=1e-4, atol=1e-5)
    theirs.eval(), ours.eval()
    torch.testing.assert_close(ours.codebook, theirs.codebook)
    a, b = theirs(z), ours(z)
    torch.testing.assert_close(b[0], a[0])
    assert torch.equal(b[1], a[1])
    assert (b[2].shape, float(b[2])) == (a[2].shape, float(a[2].detach()))


def test_same_masked_results() -> None:
    theirs, ours = pair()
    z, mask = latents(2, 9, 8), torch.arange(18).view(2, 9) % 3 > 0
    a, b = theirs(z, mask=mask), ours(z, mask)
    torch.testing.assert_close(b[0], a[0])
    assert torch.equal(b[1], a[1])
    torch.testing.assert_close(b[2], a[2])


@pytest.mark.parametrize(
    ("argument", "remedy"),
    [("kmeans_init", "initialise"), ("threshold_ema_dead_code", "revive"), ("heads", "no equiv")],
)
def test_other_arguments_are_refused_with_a_remedy(argument, remedy) -> None:
    with pytest.raises(TypeError, match=f"{argument} .*{remedy}"):
        VectorQuantize(8, 16, **{argument: 2})


def test_bad_input() -> None:
    for arguments, shape, match in [
        ({}, (2, 8, 9), r"\(B, N, dim\)"),
        ({"channel_last": False}, (2, 9, 8), r"\(B, dim, N\)"),
        ({"accept_image_fmap": True}, (2, 9, 8), r"\(B, dim, H, W\)"),
    ]:
        with pytest.raises(ValueError, match=match):
            VectorQuantize(8, 16, **arguments)(torch.zeros(shape))
    with pytest.raises(ValueError, match="mask has shape"):
        VectorQuantize(8, 16)(torch.zeros(2, 9, 8), torch.ones(2, 8, dtype=torch.bool))
    with pytest.raises(TypeError, match="channel_last"):
        VectorQuantize(8, 16, channel_last=1)
