"""EfficientNet-Lite0 with its classifier, as a function of the tensors of its file."""

from __future__ import annotations

from typing import Any

EPSILON = 1e-3  # of its batch normalisation
STRIDES = {1: 2, 3: 2, 5: 2, 11: 2}  # blocks that halve the image
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def forward(state: dict[str, Any], images: Any) -> Any:
    """Scores (N, 1000) of images (N, 3, 224, 224) with values in [0, 1]."""
    import torch
    from torch.nn import functional

    def convolve(x: Any, conv: str, norm: str, stride: int = 1) -> Any:
        kernel = state[f"{conv}.weight"]
        depthwise = kernel.shape[1] == 1
        x = functional.pad(x, same_padding(x.shape[2:], kernel.shape[-1], stride))
        x = functional.conv2d(x, kernel, stride=stride, groups=x.shape[1] if depthwise else 1)
        moments = [state[f"{norm}.{part}"] for part in ("running_mean", "running_var")]
        weight, bias = state[f"{norm}.weight"], state[f"{norm}.bias"]
        return functional.batch_norm(x, *moments, weight, bias, eps=EPSILON)

    mean, deviation = (torch.tensor(each)[:, None, None] for each in (MEAN, DEVIATION))
    x = functional.relu6(convolve((images - mean) / deviation, "_conv_stem", "_bn0", 2))
    blocks = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("_blocks."))
    for block in range(blocks):
        name, y = f"_blocks.{block}", x
        if f"{name}._expand_conv.weight" in state:
            y = functional.relu6(convolve(y, f"{name}._expand_conv", f"{name}._bn0"))
        stride = STRIDES.get(block, 1)
        y = functional.relu6(convolve(y, f"{name}._depthwise_conv", f"{name}._bn1", stride))
        y = convolve(y, f"{name}._project_conv", f"{name}._bn2")
        x = x + y if x.shape == y.shape else y
    x = functional.relu6(convolve(x, "_conv_head", "_bn1")).mean((2, 3))
    return functional.linear(x, state["_fc.weight"], state["_fc.bias"])


def same_padding(shape: Any, kernel: int, stride: int) -> list[int]:
    """Padding as TensorFlow's SAME: an odd pixel is to the right and below."""
    padding = []
    for length in (shape[1], shape[0]):
        total = max((-(-length // stride) - 1) * stride + kernel - length, 0)
        padding += [total // 2, total - total // 2]
    return padding
