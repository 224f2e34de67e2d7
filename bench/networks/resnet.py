"""ResNets for CIFAR-10 of any depth: basic blocks, shortcuts that pad channels with zeros."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def inputs(pixels: NDArray[np.uint8]) -> Any:
    """Tensor (N, 3, 32, 32) of images (N, 32, 32, 3), normalised as for the training."""
    import torch

    x = (pixels.astype(np.float32) / 255 - np.float32(MEAN)) / np.float32(DEVIATION)
    return torch.tensor(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))


def weight_names(state: dict[str, Any]) -> list[str]:
    """Names of the convolutions and the linear layer."""
    names = [name for name in state if name.endswith("weight") and ".bn" not in name]
    return [name for name in names if not name.startswith("bn")]


def forward(state: dict[str, Any], images: Any) -> Any:
    """Return the scores of images; the depth is that of the tensors."""
    import torch.nn.functional as f

    def norm(x: Any, name: str) -> Any:
        stored = [state[f"{name}.{part}"] for part in ("running_mean", "running_var")]
        return f.batch_norm(x, *stored, state[f"{name}.weight"], state[f"{name}.bias"])

    blocks = sorted({tuple(map(int, n[5:].split(".")[:2])) for n in state if n.startswith("layer")})
    x = f.conv2d(images, state["conv1.weight"], padding=1)
    x = norm(x, "bn1").relu()
    for stage, block in blocks:
        name = f"layer{stage}.{block}"
        stride = 2 if stage > 1 and block == 0 else 1
        out = f.conv2d(x, state[f"{name}.conv1.weight"], stride=stride, padding=1)
        out = norm(out, f"{name}.bn1").relu()
        out = norm(f.conv2d(out, state[f"{name}.conv2.weight"], padding=1), f"{name}.bn2")
        if stride == 2:
            more = (out.shape[1] - x.shape[1]) // 2
            x = f.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, more, more))
        x = (out + x).relu()
    return x.mean((2, 3)) @ state["linear.weight"].T + state["linear.bias"]
