"""Batch normalization folded into the convolution before it, and put back."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def fold_batch_norm(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """Return one convolution equal to a convolution and its normalization in evaluation mode.

    Args:
        convolution: any two-dimensional convolution with zero padding.
        norm: its normalization, whose running statistics are used.

    Returns:
        A new convolution with a bias.
    """
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError('the normalization keeps no running statistics')
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    result = nn.Conv2d(
        convolution.in_channels,
        convolution.out_channels,
        convolution.kernel_size,  # type: ignore[arg-type]
        convolution.stride,  # type: ignore[arg-type]
        convolution.padding,  # type: ignore[arg-type]
        bias=True,
    )
    with torch.no_grad():
        result.weight.copy_(convolution.weight * scale[:, None, None, None])
        shift = norm.bias - norm.running_mean * scale
        if convolution.bias is not None:
            shift = shift + convolution.bias * scale
        assert result.bias is not None
        result.bias.copy_(shift)
    return result


@torch.no_grad()
def put_back_batch_norm(norm: nn.BatchNorm2d, bias: Tensor, convolved: Tensor) -> None:
    """Set a normalization so that it may take the place of a bias: what comes out stays the same.

    Args:
        norm: follows the same convolution without a bias.
        bias: float32 [C], of the convolution that it was folded into.
        convolved: float32 [B, C, H, W], what that makes of many inputs, whose statistics the
            normalization begins with.
    """
    variance, mean = torch.var_mean(convolved, (0, 2, 3), correction=0)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.copy_(mean - bias)
    norm.running_var.copy_(variance)
    norm.weight.copy_(torch.sqrt(variance + norm.eps))
    norm.bias.copy_(mean)
