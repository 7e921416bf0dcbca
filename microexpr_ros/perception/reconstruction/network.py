"""The conditional variational autoencoder that makes the present picture of a face."""

from __future__ import annotations

from functools import reduce
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from microexpr_ros.perception.folding import fold_batch_norm, put_back_batch_norm
from microexpr_ros.perception.reconstruction.configuration import ReconstructionConfiguration
from microexpr_ros.perception.residual import Residual

SOURCES: Final = 4
"""What a pixel is mixed from: the painted picture, the frames carried to now, their average (or
the newest frame) as it was, and the reference."""

MOVED: Final = 2
"""What it is mixed from besides if pictures are moved: the average and the reference, moved."""

_FLOW_UNIT_CELLS: Final = 4.0
"""What 1 of the layer that predicts flow stands for: layers begin with small numbers."""

_FLOW_LEVEL: Final = 1
"""Block of the decoder that the flow is predicted from, on a quarter of the grid."""

_REACH: Final = 0.25
"""Largest correction of the mixture, of the whole range."""

_MIN_SCALE: Final = 1 / 512

_SLOPE: Final = 0.1
"""Of the leaky rectification below 0."""


class Gaussians(NamedTuple):
    """Distribution of the latent variables.

    Attributes:
        mean: float32 [B, latent, h, w], of the local ones.
        log_variance: likewise.
        global_mean: float32 [B, global_latent].
        global_log_variance: likewise.
    """

    mean: Tensor
    log_variance: Tensor
    global_mean: Tensor
    global_log_variance: Tensor

    def sample(self, generator: torch.Generator | None = None) -> Latents:
        """Sample the latent variables."""
        local = torch.randn(self.mean.shape, generator=generator)
        everywhere = torch.randn(self.global_mean.shape, generator=generator)
        return Latents(
            self.mean + (0.5 * self.log_variance).exp() * local,
            self.global_mean + (0.5 * self.global_log_variance).exp() * everywhere,
        )

    def means(self) -> Latents:
        """Return the most probable latent variables."""
        return Latents(self.mean, self.global_mean)


class Latents(NamedTuple):
    """Values of the latent variables.

    Attributes:
        local: float32 [B, latent, h, w].
        everywhere: float32 [B, global_latent].
    """

    local: Tensor
    everywhere: Tensor


class Picture(NamedTuple):
    """A picture and how sure of it the network is.

    Attributes:
        image: float32 [B, 1, grid, grid], gamma-encoded, 0 to 1.
        scale: float32 [B, 1, grid, grid], scale of the Laplace distribution of its error.
        flows: [B, 2 * MOVED, grid / 4, grid / 4], for each picture that was moved, as of `move`;
            None if none was, and in an export.
    """

    image: Tensor
    scale: Tensor
    flows: Tensor | None = None


class ConditionalVae(nn.Module):
    """A conditional variational autoencoder (Sohn et al., 2015) of grey images.

    The decoder paints an image, weighs it for each pixel against the pictures of the condition,
    and corrects the mixture. It also predicts, on a quarter of the grid, where each part of the
    face was in the average of the frames and in the reference, and weighs these pictures moved
    accordingly.

    Skip connections come from the condition alone, so the latent variables carry only what the
    condition does not determine: the local ones shapes, the global ones light and skin.

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
        self.fine = _Block(c.channels, c.fine, 1, deployed)
        self.condition = nn.ModuleList(
            _Block(before, after, 2, deployed)
            for before, after in ((c.fine, w), (w, 2 * w), (2 * w, 4 * w), (4 * w, 4 * w))
        )
        self.whole = nn.Sequential(*(_residual(4 * w, deployed) for _ in range(c.blocks)))
        self.prior = _Head(4 * w, c)
        self.posterior = None if deployed else _Posterior(c)
        self.enter = _Block(4 * w + c.latent, 4 * w, 1, deployed)
        self.decoder = nn.ModuleList(
            _Block(before, after, 1, deployed)
            for before, after in ((8 * w, 3 * w), (5 * w, 3 * w // 2), (5 * w // 2, w))
        )
        # The global latent variables scale and shift what the decoder begins with.
        self.modulate = nn.Linear(c.global_latent, 8 * w)
        # Features on the full grid would double the cost: the last upsampling rearranges channels.
        self.unfold = nn.Sequential(nn.Conv2d(w, 4 * c.fine, 3, padding=1), nn.PixelShuffle(2))
        self.mix = _Block(2 * c.fine, c.fine, 1, deployed)
        self.paint = nn.Conv2d(c.fine, SOURCES + 3, 3, padding=1)
        self.mover = _Mover(c) if c.moves else None
        with torch.no_grad():
            # Training begins with the frame carried to now, without correction.
            self.paint.get_parameter('bias')[2] = 3.0

    def encode(self, *condition: Tensor) -> tuple[list[Tensor], Gaussians]:
        """Return the pictures of the condition and its features, finest first, and the prior.

        Args:
            condition: float32 [B, channels, grid, grid], the events and then the pictures of
                `reconstructor.network_inputs`, side by side or as they are.
        """
        features = [condition[-1][:, -self.configuration.pictures :], self.fine(*condition)]
        for block in self.condition:
            features.append(block(features[-1]))
        features[-1] = self.whole(features[-1])
        return features, self.prior(features[-1])

    def decode(self, features: list[Tensor], latents: Latents) -> Picture:
        """Return pictures.

        Args:
            features: of `encode`.
            latents: sampled, or the most probable ones.
        """
        x = self.enter(features[-1], latents.local)
        scale, shift = self.modulate(latents.everywhere)[..., None, None].chunk(2, 1)
        x = x * (1 + scale) + shift
        pictures, fine = features[:2]
        channels = pictures.chunk(self.configuration.pictures, 1)
        carried, frame, reference, has_frame, _, has_reference = channels[:6]
        if self.configuration.averages:
            frame = channels[6]
        levels = []
        flows = None
        for block, skip in zip(self.decoder, features[-2:1:-1], strict=True):
            x = functional.interpolate(x, scale_factor=2.0, mode='nearest')
            x = block(x, skip)
            levels.append(x)
        x = self.mix(self.unfold(x), fine)
        painted = self.paint(x) if self.mover is None else self.mover.paint(self.paint, x)
        sources = [torch.sigmoid(painted[:, :1]), carried, frame, reference]
        known = [torch.ones_like(has_frame), has_frame, has_frame, has_reference]
        weights = [painted[:, 1 : 1 + SOURCES]]
        if self.mover is not None:
            known = [*known, has_frame, has_reference]
            there = torch.cat([frame, reference], 1) * torch.cat(known[-MOVED:], 1)
            operands = levels[_FLOW_LEVEL], there
            if torch.compiler.is_exporting():
                # Without frame and reference, as with an event camera alone, a sixth of the time.
                is_there = torch.cat(known[-MOVED:], 1).any()
                moved, weight = torch.cond(is_there, self.mover, _move_nothing, operands)
            else:
                moved, weight = self.mover(*operands)
                flows = self.mover.flows(levels[_FLOW_LEVEL])
            sources.append(moved)
            weights.append(painted[:, -MOVED:] + weight)
            painted = painted[:, :-MOVED]
        missing = -20 * (1 - torch.cat(known, 1))
        shares = torch.cat(weights, 1) + missing
        # A softmax: over channels, onnxruntime takes four times as long for the operation.
        shares = torch.exp(shares - shares.detach().amax(1, keepdim=True))
        mixed = (shares * torch.cat(sources, 1)).sum(1, keepdim=True) / shares.sum(1, keepdim=True)
        image = mixed + _REACH * torch.tanh(painted[:, -2:-1])
        return Picture(image, to_scale(painted[:, -1:]), flows)

    def forward(self, *condition: Tensor) -> Picture:
        """Return the pictures of the most probable latent variables; arguments as of `encode`."""
        features, prior = self.encode(*condition)
        return self.decode(features, prior.means())

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

    @torch.no_grad()
    def trainable(self, *condition: Tensor) -> ConditionalVae:
        """Return the form that is trained of a deployed network: what weights files hold.

        Normalization by the statistics of the condition takes the place of the biases, and what
        comes out stays the same. The posterior is new, and begins as the prior.

        Args:
            condition: as of `encode`, of many pictures.
        """
        result = ConditionalVae(self.configuration)
        assert result.posterior is not None
        tensors = dict(self.state_dict())
        outputs: dict[str, Tensor] = {}
        blocks = {name: m for name, m in self.named_modules() if isinstance(m, _Block)}
        hooks = [
            block.register_forward_hook(lambda _, __, out, name=name: outputs.update({name: out}))
            for name, block in blocks.items()
        ]
        self.eval()(*condition)
        for hook in hooks:
            hook.remove()
        for name, out in outputs.items():
            norm = result.get_submodule(f'{name}.norm')
            assert isinstance(norm, nn.BatchNorm2d)
            bias = tensors.pop(f'{name}.convolution.bias')
            put_back_batch_norm(norm, bias, torch.where(out > 0, out, out / _SLOPE))
        result.load_state_dict({**result.state_dict(), **tensors})
        result.posterior.begin_as(self.prior)
        return result


class _Block(nn.Module):
    """Convolution of size 3, normalization, leaky rectification."""

    def __init__(self, before: int, after: int, stride: int, deployed: bool) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(before, after, 3, stride, 1, bias=deployed)
        self.norm = None if deployed else nn.BatchNorm2d(after)

    def forward(self, *parts: Tensor) -> Tensor:
        if self.norm is None:
            x = convolve_parts(self.convolution, *parts)
        else:
            x = self.norm(self.convolution(torch.cat(parts, 1)))
        return functional.leaky_relu(x, _SLOPE)

    def folded(self) -> nn.Conv2d:
        return (
            self.convolution if self.norm is None else fold_batch_norm(self.convolution, self.norm)
        )


def _residual(channels: int, deployed: bool) -> Residual:
    """Return a residual block; training begins with nothing added."""
    block = _Block(channels, channels, 1, deployed)
    if block.norm is not None:
        nn.init.zeros_(block.norm.weight)
    return Residual(block)


class _Mover(nn.Module):
    """Moves the frames' average and the reference by flows, and weighs them for the mixture."""

    def __init__(self, configuration: ReconstructionConfiguration) -> None:
        super().__init__()
        self.flow = nn.Conv2d(3 * configuration.width // 2, 2 * MOVED, 3, padding=1)
        self.weigh = nn.Conv2d(configuration.fine + MOVED, MOVED, 3, padding=1)
        # Training begins without movement.
        nn.init.zeros_(self.flow.weight)
        nn.init.zeros_(self.flow.get_parameter('bias'))

    def paint(self, paint: nn.Conv2d, fine: Tensor) -> Tensor:
        """Return what a convolution makes of the finest features, then their part of the weights.

        Both at once: convolutions on the full grid take most of the time.
        """
        weight = torch.cat([paint.weight, self.weigh.weight[:, :-MOVED]])
        bias = torch.cat([paint.get_parameter('bias'), self.weigh.get_parameter('bias')])
        return functional.conv2d(fine, weight, bias, padding=1)

    def flows(self, coarse: Tensor) -> Tensor:
        """Return where each part of the face was in the pictures, as `Picture.flows`."""
        flows: Tensor = _FLOW_UNIT_CELLS * self.flow(coarse)
        return flows

    def forward(self, coarse: Tensor, pictures: Tensor) -> tuple[Tensor, Tensor]:
        flows = self.flows(coarse)
        flows = functional.interpolate(flows, scale_factor=4.0, mode='bilinear')
        pairs = zip(pictures.chunk(MOVED, 1), flows.chunk(MOVED, 1), strict=True)
        moved = torch.cat([move(picture, flow) for picture, flow in pairs], 1)
        weight = self.weigh.weight[:, -MOVED:]
        weight = functional.conv2d(moved.to(coarse.dtype), weight, padding=1)
        # As `_move_nothing` returns them: branches of an export must be laid out alike.
        return moved.contiguous(), weight.contiguous()


def _move_nothing(coarse: Tensor, pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Return what `_Mover` does where there is no picture."""
    nothing = (0 * pictures).contiguous()
    return nothing, nothing.clone()


class _Head(nn.Module):
    """Distribution of the latent variables from features of 1/16 of the grid."""

    def __init__(self, channels: int, configuration: ReconstructionConfiguration) -> None:
        super().__init__()
        self.local = nn.Conv2d(channels, 2 * configuration.latent, 1)
        self.everywhere = nn.Linear(channels, 2 * configuration.global_latent)

    def forward(self, features: Tensor) -> Gaussians:
        mean, log_variance = self.local(features).chunk(2, 1)
        everywhere = self.everywhere(features.mean((2, 3)))
        global_mean, global_log_variance = everywhere.chunk(2, 1)
        return Gaussians(
            mean, log_variance.clamp(-8, 8), global_mean, global_log_variance.clamp(-8, 8)
        )


class _Posterior(nn.Module):
    """Distribution of the latent variables given the image and the condition's features."""

    def __init__(self, configuration: ReconstructionConfiguration) -> None:
        super().__init__()
        w = configuration.width
        self.image = nn.Sequential(
            *(
                _Block(before, after, 2, deployed=False)
                for before, after in ((1, w // 2), (w // 2, w), (w, 2 * w), (2 * w, 2 * w))
            )
        )
        self.head = _Head(6 * w, configuration)

    def begin_as(self, prior: _Head) -> None:
        """Take over a prior: what the image adds begins at 0."""
        for own, other in zip(self.head.parameters(), prior.parameters(), strict=True):
            if own.dim() == 1:
                own.copy_(other)
            else:
                own[:, : -other.shape[1]] = 0
                own[:, -other.shape[1] :] = other

    def forward(self, target: Tensor, features: Tensor) -> Gaussians:
        distribution: Gaussians = self.head(torch.cat([self.image(target), features], 1))
        return distribution


def move(picture: Tensor, flow: Tensor) -> Tensor:
    """Return a picture as it is seen after a movement, float32 [B, 1, H, W].

    Args:
        picture: float32 [B, 1, H, W].
        flow: [B, 2, H, W], for each cell, how far to the right and how far down of it its content
            is in the picture, cells.
    """
    height, width = picture.shape[2:]
    # Not in the precision of a training: eight bits do not tell cells apart.
    column, row = flow.float().unbind(1)
    x = (torch.arange(width) + 0.5 + column) * (2 / width) - 1
    y = (torch.arange(height)[:, None] + 0.5 + row) * (2 / height) - 1
    return functional.grid_sample(
        picture.float(),
        torch.stack([x, y], -1),
        mode='bilinear',
        padding_mode='border',
        align_corners=False,
    )


def to_scale(x: Tensor) -> Tensor:
    """Return scales of errors, from 1/512 of the range on, of values of any size."""
    # A softplus, for which onnxruntime takes three times as long. Eight bits are too few for it.
    x = x.float() - 3
    return functional.relu(x) - torch.log(torch.sigmoid(x.abs())) + _MIN_SCALE


def convolve_parts(convolution: nn.Conv2d, *parts: Tensor) -> Tensor:
    """Return the convolution of parts side by side, float32 [B, out_channels, H, W].

    The convolutions of the parts are added up, which is the same: onnxruntime does so in passing,
    but to put the parts side by side it would copy them to another layout and back.

    Args:
        convolution: as many channels go in as the parts have.
        parts: float32 [B, channels, H, W].
    """
    weights = torch.split(convolution.weight, [part.shape[1] for part in parts], 1)
    biases = [convolution.bias, *[None] * (len(parts) - 1)]
    convolved = [
        functional.conv2d(part, weight, bias, convolution.stride, convolution.padding)
        for part, weight, bias in zip(parts, weights, biases, strict=True)
    ]
    return reduce(torch.add, convolved)
