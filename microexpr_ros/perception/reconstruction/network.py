"""The conditional variational autoencoder that paints a face from its events."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from microexpr_ros.perception.folding import fold_batch_norm
from microexpr_ros.perception.reconstruction.configuration import ReconstructionConfiguration

_FINE: Final = 4


class ConditionalVae(nn.Module):
    """A conditional variational autoencoder (Sohn et al., 2015) of grey images.

    The decoder paints an image, and a gate per pixel by which the frame, if there is one, is
    copied instead. Skip connections come from the condition alone, so the latent variable
    carries only what the condition does not determine.

    Args:
        configuration: shape of the network.
        deployed: True for the form without the posterior and with folded normalization.
    """

    def __init__(
        self, configuration: ReconstructionConfiguration | None = None, deployed: bool = False
    ) -> None:
        super().__init__()
        self.configuration = c = configuration or ReconstructionConfiguration()
        w = c.width
        self.condition = nn.ModuleList(
            _Block(before, after, 2, deployed)
            for before, after in ((c.channels, w), (w, 2 * w), (2 * w, 4 * w), (4 * w, 4 * w))
        )
        self.prior = nn.Conv2d(4 * w, 2 * c.latent, 1)
        self.posterior = None if deployed else _Posterior(c)
        self.enter = _Block(4 * w + c.latent, 4 * w, 1, deployed)
        self.decoder = nn.ModuleList(
            _Block(before, after, 1, deployed)
            for before, after in ((8 * w, 4 * w), (6 * w, 2 * w), (3 * w, w))
        )
        # Features on the full grid would double the cost: the last upsampling rearranges
        # channels, and only a linear filter runs on the full grid.
        self.fine = nn.Sequential(nn.Conv2d(w, 4 * _FINE, 3, padding=1), nn.PixelShuffle(2))
        self.paint = nn.Conv2d(_FINE + c.channels, 2, 3, padding=1)
        # A frame is nearly right already: training begins with copying it.
        with torch.no_grad():
            self.paint.get_parameter('bias')[1] = 3.0

    def encode(self, condition: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
        """Return the condition's features, finest first, and the prior's mean and log variance.

        Args:
            condition: float32 [B, channels, grid, grid], as of `inference.condition_of`.
        """
        features = [condition]
        for block in self.condition:
            features.append(block(features[-1]))
        mean, log_variance = self.prior(features[-1]).chunk(2, 1)
        return features, mean, log_variance.clamp(-8, 8)

    def decode(self, features: list[Tensor], latent: Tensor) -> Tensor:
        """Return images, float32 [B, 1, grid, grid], 0 to 1.

        Args:
            features: of `encode`.
            latent: float32 [B, latent, grid / 16, grid / 16].
        """
        x = self.enter(torch.cat([features[-1], latent], 1))
        for block, skip in zip(self.decoder, features[-2:0:-1], strict=True):
            x = functional.interpolate(x, scale_factor=2.0, mode='nearest')
            x = block(torch.cat([x, skip], 1))
        x = self.paint(torch.cat([self.fine(x), features[0]], 1))
        painted, gate = torch.sigmoid(x).chunk(2, 1)
        frame, mask = features[0][:, -2:].chunk(2, 1)
        copied = gate * mask
        return painted * (1 - copied) + frame * copied

    def forward(self, condition: Tensor) -> Tensor:
        """Return the images of the prior's mean, float32 [B, 1, grid, grid], 0 to 1."""
        features, mean, _ = self.encode(condition)
        return self.decode(features, mean)

    def deployed(self) -> ConditionalVae:
        """Return the same network for inference: no posterior, normalization folded."""
        result = ConditionalVae(self.configuration, deployed=True)
        own = self.state_dict()
        tensors = {}
        for name, module in self.named_modules():
            if isinstance(module, _Block) and not name.startswith('posterior'):
                for key, value in module.folded().state_dict().items():
                    tensors[f'{name}.convolution.{key}'] = value
        for name in result.state_dict():
            tensors.setdefault(name, own.get(name, torch.empty(0)))
        result.load_state_dict(tensors)
        return result.eval()


class _Block(nn.Module):
    """Convolution of size 3, normalization, leaky rectification."""

    def __init__(self, before: int, after: int, stride: int, deployed: bool) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(before, after, 3, stride, 1, bias=deployed)
        self.norm = None if deployed else nn.BatchNorm2d(after)

    def forward(self, x: Tensor) -> Tensor:
        x = self.convolution(x)
        if self.norm is not None:
            x = self.norm(x)
        return functional.leaky_relu(x, 0.1)

    def folded(self) -> nn.Conv2d:
        return (
            self.convolution if self.norm is None else fold_batch_norm(self.convolution, self.norm)
        )


class _Posterior(nn.Module):
    """Distribution of the latent variable given the image and the condition's features."""

    def __init__(self, configuration: ReconstructionConfiguration) -> None:
        super().__init__()
        w = configuration.width
        self.image = nn.Sequential(
            *(
                _Block(before, after, 2, deployed=False)
                for before, after in ((1, w // 2), (w // 2, w), (w, 2 * w), (2 * w, 2 * w))
            )
        )
        self.head = nn.Conv2d(6 * w, 2 * configuration.latent, 1)

    def forward(self, target: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        x = self.head(torch.cat([self.image(target), features], 1))
        mean, log_variance = x.chunk(2, 1)
        return mean, log_variance.clamp(-8, 8)


def compress(events: Tensor, gain: float) -> Tensor:
    """Return signed events per sensor pixel on a logarithmic scale."""
    return torch.sign(events) * torch.log1p(gain * events.abs())
