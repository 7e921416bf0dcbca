"""Batch normalization folded into the convolution before it, for deployment."""

from __future__ import annotations

import torch
from torch import nn


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
