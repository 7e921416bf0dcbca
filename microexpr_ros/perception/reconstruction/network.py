"""Images of the face from its events, with or without a frame camera."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from microexpr_ros.alignment.slices import Slice, blank_slice, follows
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.grid import GRID, SLICE_NS
from microexpr_ros.perception import weights
from microexpr_ros.perception.folding import folded
from microexpr_ros.perception.runtime import Runtime, beside


@dataclass(frozen=True, slots=True)
class ReconstructionConfiguration:
    """Shape of the network and of what it is conditioned on.

    Attributes:
        grid: rows and columns of slices and images.
        slice_ns: length of a slice.
        bins: temporal bins of the voxel grid of recent signed events.
        slices_per_bin: slices that one bin sums.
        tau_ms: time constants of the leaky integrals of signed events, ms.
        activity_tau_ms: time constant of the leaky integral of all events, ms.
        frame_slices: age in slices from which a frame is no longer used.
        gain: events per sensor pixel e enter as sign(e) log(1 + gain |e|).
        width: channels of the finest layer; coarser ones have 2, 4 and 4 times as many.
        latent: channels of the latent variable, which is 1/16 of the grid wide and high.
    """

    grid: int = GRID
    slice_ns: int = SLICE_NS
    bins: int = 5
    slices_per_bin: int = 3
    tau_ms: tuple[float, ...] = (50.0, 200.0, 800.0)
    activity_tau_ms: float = 800.0
    frame_slices: int = 20
    gain: float = 5.0
    width: int = 16
    latent: int = 8

    @property
    def slices(self) -> int:
        """Slices that the voxel grid covers."""
        return self.bins * self.slices_per_bin

    @property
    def event_channels(self) -> int:
        """Channels of events: voxel grid, leaky integrals, activity, sum since the frame."""
        return self.bins + len(self.tau_ms) + 2

    @property
    def channels(self) -> int:
        """Channels of the condition: the events', the frame, and whether there is a frame."""
        return self.event_channels + 2

    def decays(self) -> NDArray[np.float32]:
        """Return the factor per slice of each leaky integral, the activity's last."""
        tau_ms = np.array([*self.tau_ms, self.activity_tau_ms])
        return np.exp(-self.slice_ns * 1e-6 / tau_ms).astype(np.float32)

    def compress(self, events: Tensor) -> Tensor:
        """Return signed events per sensor pixel on a logarithmic scale."""
        return torch.sign(events) * torch.log1p(self.gain * events.abs())


_FINE: Final = 4


class ConditionalVae(nn.Module):
    """A conditional variational autoencoder (Sohn et al., 2015) of grey images.

    The decoder paints an image, and says per pixel how far the frame, if there is one, is
    copied instead. Skips come from the condition alone, so the latent variable only has to
    carry what the condition leaves open.

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
        # Features as fine as the grid would cost as much as all the rest: the last step up
        # rearranges channels, and only a linear filter runs on the full grid.
        self.fine = nn.Sequential(nn.Conv2d(w, 4 * _FINE, 3, padding=1), nn.PixelShuffle(2))
        self.paint = nn.Conv2d(_FINE + c.channels, 2, 3, padding=1)
        # A frame is nearly right already: begin by copying it.
        with torch.no_grad():
            self.paint.get_parameter('bias')[1] = 3.0

    def encode(self, condition: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
        """Return the condition's features, finest first, and the prior's mean and log variance.

        Args:
            condition: float32 [B, channels, grid, grid], from `condition_of`.
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
        return self.convolution if self.norm is None else folded(self.convolution, self.norm)


class _Posterior(nn.Module):
    """Where the latent variable of a known image is, given the condition's features."""

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


@dataclass(frozen=True, slots=True)
class ReconstructionState:
    """What is remembered of one face; events are signed, per sensor pixel.

    Attributes:
        recent: float32 [grid, grid] of the last slices, oldest first.
        leaky: float32 [len(tau_ms) + 1, grid, grid], leaky integrals; the last is of all
            events, whatever their sign.
        since_frame: float32 [grid, grid], sum of the slices after the frame's.
        frame: uint8 [grid, grid], the last frame, None if none is known.
        frame_age: slices since the frame became current.
        end_ns: end of the last slice, None before the first.
    """

    recent: tuple[NDArray[np.float32], ...]
    leaky: NDArray[np.float32]
    since_frame: NDArray[np.float32]
    frame: NDArray[np.uint8] | None = None
    frame_age: int = 0
    end_ns: int | None = None


class Reconstructor:
    """Paints the face from slices; holds no state, so one serves any number of faces.

    Args:
        network: a deployed network.
        model: name and hash of the weights.
        runtime: the same network, exported; None to run the network itself.
    """

    def __init__(
        self, network: ConditionalVae, model: str = 'untrained', runtime: Runtime | None = None
    ) -> None:
        self._runtime = runtime
        self._network: ConditionalVae = network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._decays = network.configuration.decays()[:, None, None]
        self.model = model

    @classmethod
    def load(cls, path: Path | None = None) -> Reconstructor:
        """Read a reconstructor from a weights file, and limit torch to one thread.

        Args:
            path: a file of `weights.save`; None for the weights that come with the package.

        Raises:
            MicroexprError: as of `weights.load`.
        """
        path = path or weights.shipped('reconstruction')
        file = weights.load(path, 'reconstruction')
        torch.set_num_threads(1)
        return cls.from_weights(file, beside(path, file.hash))

    @classmethod
    def from_weights(cls, file: weights.Weights, runtime: Runtime | None = None) -> Reconstructor:
        """Return the reconstructor that a weights file describes.

        Raises:
            MicroexprError: the weights are of another version.
        """
        network = ConditionalVae(file.configuration(ReconstructionConfiguration), deployed=True)
        network.load_state_dict(dict(file.tensors))
        return cls(network, file.model, runtime)

    def to_settings(self) -> dict[str, Any]:
        """Return everything but the tensors, as JSON values for `weights.save`."""
        return {'configuration': asdict(self.configuration)}

    @property
    def configuration(self) -> ReconstructionConfiguration:
        """Shape of the network and of its condition."""
        return self._network.configuration

    @property
    def slice_ns(self) -> int:
        """Length of a slice that the network was trained for."""
        return self.configuration.slice_ns

    @property
    def network(self) -> ConditionalVae:
        """The deployed network, for batches."""
        return self._network

    def initial_state(self) -> ReconstructionState:
        """Return the state of a reconstructor that has seen nothing."""
        c = self.configuration
        nothing = np.zeros((c.grid, c.grid), np.float32)
        return ReconstructionState(
            (nothing,) * c.slices,
            np.zeros((len(c.tau_ms) + 1, c.grid, c.grid), np.float32),
            nothing,
        )

    def observe(self, slice_: Slice, state: ReconstructionState) -> ReconstructionState:
        """Take in one slice; cheap, and to be done for every one.

        The state starts anew when no face region is known, and when the slice does not begin
        where the last one ended.

        Args:
            slice_: the next slice.
            state: of the slice before.

        Returns:
            The new state.

        Raises:
            MicroexprError: the slice has another length or grid than the network.
        """
        c = self.configuration
        if slice_.duration_ns != c.slice_ns or slice_.counts.shape != (2, c.grid, c.grid):
            raise MicroexprError(
                f'slices of {slice_.duration_ns / 1e6:g} ms and shape {slice_.counts.shape}, but '
                f'{self.model} was trained for {c.slice_ns / 1e6:g} ms and '
                f'{(2, c.grid, c.grid)}: set the synchronizer to that'
            )
        if slice_.region is None:
            return self.initial_state()
        if state.end_ns is not None and not follows(slice_, state.end_ns):
            state = self.initial_state()
        off, on = slice_.counts.astype(np.float32) / np.float32(slice_.pixels_per_cell)
        signed = on - off
        leaky = state.leaky * self._decays
        leaky[:-1] += signed
        leaky[-1] += on + off
        new = slice_.frame is not None
        return ReconstructionState(
            recent=(*state.recent[1:], signed),
            leaky=leaky,
            since_frame=np.zeros_like(signed) if new else state.since_frame + signed,
            frame=state.frame if slice_.frame is None else grey(slice_.frame, c.grid),
            frame_age=0 if new else state.frame_age + 1,
            end_ns=slice_.end_ns,
        )

    def warm_up(self) -> None:
        """Paint once from nothing, so that the first real image is not the slowest."""
        window = blank_slice(self.configuration.grid, self.slice_ns)
        self.reconstruct(self.observe(window, self.initial_state()))

    @torch.inference_mode()
    def reconstruct(self, state: ReconstructionState) -> NDArray[np.uint8]:
        """Return the image at the end of the last slice, uint8 [grid, grid], gamma-encoded grey.

        The latent variable is the mean of the prior: the same state gives the same image.
        """
        if self._runtime is None:
            condition = condition_of(state, self.configuration)[None]
            layout = condition.contiguous(memory_format=torch.channels_last)
            image = self._network(layout)[0, 0].numpy()
        else:
            events, picture = inputs_of(state, self.configuration)
            image = self._runtime(events[None], picture[None])[0][0, 0]
        return np.asarray(np.rint(image * 255), np.uint8)


def inputs_of(
    state: ReconstructionState, configuration: ReconstructionConfiguration
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return what the network is conditioned on, before compression.

    Returns:
        Events per sensor pixel, float32 [channels - 2, grid, grid]: the voxel grid, the leaky
        integrals, the sum since the frame. And float32 [2, grid, grid]: the frame, 0 to 1, and
        a mask, 1 where there is a frame; without one, the frame and the sum since it are 0.
    """
    c = configuration
    voxels = np.stack(state.recent).reshape(c.bins, c.slices_per_bin, c.grid, c.grid).sum(1)
    frame = state.frame if state.frame_age < c.frame_slices else None
    since_frame = np.zeros_like(state.since_frame) if frame is None else state.since_frame
    picture = np.zeros((2, c.grid, c.grid), np.float32)
    if frame is not None:
        picture[0] = frame.astype(np.float32) / np.float32(255)
        picture[1] = 1.0
    return np.concatenate([voxels, state.leaky, since_frame[None]]), picture


def condition_of(state: ReconstructionState, configuration: ReconstructionConfiguration) -> Tensor:
    """Return what the network is conditioned on, float32 [channels, grid, grid]."""
    events, picture = (torch.from_numpy(part) for part in inputs_of(state, configuration))
    return torch.cat([configuration.compress(events), picture])


LUMA: Final = (0.299, 0.587, 0.114)
"""Weights of gamma-encoded red, green and blue in grey (ITU-R BT.601)."""


def grey(frame: NDArray[np.uint8], grid: int) -> NDArray[np.uint8]:
    """Return a frame as grey on the grid, uint8 [grid, grid].

    Args:
        frame: uint8 [height, width] grey or [height, width, 3] RGB, of any size.
        grid: rows and columns of the result.
    """
    if frame.ndim == 3:
        frame = np.round(frame.astype(np.float32) @ np.array(LUMA, np.float32)).astype(np.uint8)
    if frame.shape == (grid, grid):
        return frame
    # Area averages do not alias when shrinking; when enlarging they would show blocks.
    shrinks = min(frame.shape) >= grid
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(frame, (grid, grid), interpolation=method), np.uint8)
