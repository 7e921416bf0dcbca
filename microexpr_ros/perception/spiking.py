"""The spiking network that turns slices of events into Action Unit intensities."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import torch
from norse.torch import LIFBoxCell, LIFBoxFeedForwardState, LIFBoxParameters
from norse.torch.functional.leaky_integrator_box import (
    LIBoxParameters,
    LIBoxState,
    li_box_feed_forward_step,
)
from torch import Tensor, nn
from torch.nn import functional

from microexpr_ros.events.histogram import GRID, SLICE_NS
from microexpr_ros.facs import CODES
from microexpr_ros.perception.folding import folded
from microexpr_ros.perception.scan import fire

NetworkState: TypeAlias = tuple[Tensor, ...]
"""Membrane voltages: one [B, C, H, W] per spiking layer, then the integrators [B, I]."""


@dataclass(frozen=True, slots=True)
class SpikingConfiguration:
    """Shape and time constants of the network.

    Attributes:
        grid: rows and columns of a slice.
        pool: cells per side that are summed into one input pixel.
        slice_ns: length of a slice; one step of the network.
        gain: input is log(1 + gain * events per sensor pixel), so that one event in a few
            pixels matters and a flash does not drown the face.
        channels: of the spiking layers.
        kernels: sizes of their convolutions.
        strides: of their convolutions; the first is wide, as fine layers cost the most.
        tau_ms: membrane time constants of the spiking layers, ms.
        surrogate_width: slope of the triangular surrogate gradient (Esser et al., 2016).
        integrators: leaky integrators that the last spikes are projected on.
        integrator_tau_ms: shortest and longest time constant at the start of training, ms;
            intensity is the integral of motion, so the longest outlasts a movement.
        hidden: units of the readout between integrators and intensities.
    """

    grid: int = GRID
    pool: int = 2
    slice_ns: int = SLICE_NS
    gain: float = 20.0
    channels: tuple[int, ...] = (32, 48, 48)
    kernels: tuple[int, ...] = (7, 3, 3)
    strides: tuple[int, ...] = (4, 2, 1)
    tau_ms: tuple[float, ...] = (20.0, 30.0, 40.0)
    surrogate_width: float = 1.0
    integrators: int = 128
    integrator_tau_ms: tuple[float, float] = (30.0, 1500.0)
    hidden: int = 64

    def __post_init__(self) -> None:
        if len({len(v) for v in (self.channels, self.kernels, self.strides, self.tau_ms)}) > 1:
            raise ValueError(
                'channels, kernels, strides and tau_ms need one value per spiking layer'
            )
        if min(*self.tau_ms, *self.integrator_tau_ms) * 1e6 < self.slice_ns:
            raise ValueError('a time constant shorter than a slice makes Euler steps unstable')


class SpikingNetwork(nn.Module):
    """Convolutions and leaky integrate-and-fire neurons, read out by leaky integrators.

    Each spiking layer is convolution, normalization, LIF ("box": without synaptic current).
    In training, `forward` runs layer by layer over whole sequences, so the normalization
    pools its statistics over time and batch. `deployed` folds it away; `step` is the same
    network, one slice at a time.

    Args:
        configuration: shape and time constants.
        normalized: False for the deployed form, whose convolutions have a bias instead.
    """

    def __init__(
        self, configuration: SpikingConfiguration | None = None, normalized: bool = True
    ) -> None:
        super().__init__()
        self.configuration = c = configuration or SpikingConfiguration()
        step_s = c.slice_ns * 1e-9
        self.convolutions = nn.ModuleList()
        self.norms = nn.ModuleList()
        self.cells = nn.ModuleList()
        before, side = 2, c.grid // c.pool
        self._shapes: list[tuple[int, ...]] = []
        layers = zip(c.channels, c.kernels, c.strides, c.tau_ms, strict=True)
        for channels, kernel, stride, tau_ms in layers:
            self.convolutions.append(
                nn.Conv2d(before, channels, kernel, stride, kernel // 2, bias=not normalized)
            )
            if normalized:
                norm = nn.BatchNorm2d(channels)
                # Unit variance rarely reaches a threshold of 1 through the leak.
                nn.init.constant_(norm.weight, 2.0)
                self.norms.append(norm)
            parameters = LIFBoxParameters(
                tau_mem_inv=torch.tensor(1e3 / tau_ms),
                v_th=torch.tensor(1.0),
                method='triangle',
                alpha=c.surrogate_width,
            )
            self.cells.append(LIFBoxCell(parameters, dt=step_s))
            before, side = channels, (side - 1) // stride + 1
            self._shapes.append((channels, side, side))
        self.projection = nn.Linear(math.prod(self._shapes[-1]), c.integrators)
        shortest, longest = c.integrator_tau_ms
        tau_s = torch.logspace(math.log10(shortest), math.log10(longest), c.integrators) * 1e-3
        leak = step_s / tau_s
        # The sigmoid keeps every learnt time constant longer than a slice.
        self.leak_logit = nn.Parameter(torch.log(leak / (1 - leak)))
        # A slow integrator of white input is small by the root of its leak.
        self.integrator_gain = nn.Parameter(leak.rsqrt())
        self.hidden = nn.Linear(c.integrators, c.hidden)
        self.readout = nn.Linear(c.hidden, len(CODES))
        # Most units are absent most of the time.
        nn.init.constant_(self.readout.bias, -3.0)

    @property
    def normalized(self) -> bool:
        """Whether the normalization is still separate."""
        return len(self.norms) > 0

    def initial_state(self, batch: int = 1) -> NetworkState:
        """Return the state of a network at rest."""
        device = self.leak_logit.device
        shapes = [*self._shapes, (self.configuration.integrators,)]
        return tuple(torch.zeros(batch, *shape, device=device) for shape in shapes)

    def encode(self, counts: Tensor, pixels_per_cell: Tensor | float) -> Tensor:
        """Turn counts into the network's input.

        Args:
            counts: [..., 2, grid, grid], events per cell, OFF then ON; or already pooled.
            pixels_per_cell: sensor pixels per cell of the grid, broadcast to [..., 2, h, w].

        Returns:
            float32 [..., 2, grid / pool, grid / pool].
        """
        c = self.configuration
        pooled = counts.float()
        if counts.shape[-1] == c.grid and c.pool > 1:
            side = c.grid // c.pool
            pooled = pooled.reshape(*counts.shape[:-2], side, c.pool, side, c.pool)
            pooled = pooled.sum((-1, -3))
        return torch.log1p(pooled * (c.gain / c.pool**2) / pixels_per_cell)

    def step(self, encoded: Tensor, state: NetworkState) -> tuple[Tensor, NetworkState]:
        """Advance by one slice.

        Args:
            encoded: float32 [B, 2, h, w], from `encode`.
            state: of the slice before.

        Returns:
            Log-odds of the intensities, float32 [B, 18] in the order of `facs.CODES`, and the
            new state.
        """
        *voltages, integrated = state
        spikes = encoded
        after: list[Tensor] = []
        for i, (convolution, cell) in enumerate(zip(self.convolutions, self.cells, strict=True)):
            current = convolution(spikes)
            if self.normalized:
                current = self.norms[i](current)
            spikes, membrane = cell(current, LIFBoxFeedForwardState(v=voltages[i]))
            after.append(membrane.v)
        drive = self.projection(spikes.flatten(1))
        value, integrator = li_box_feed_forward_step(
            drive, LIBoxState(v=integrated), self._leak(), self._step_s
        )
        after.append(integrator.v)
        return self._read(value), tuple(after)

    def forward(
        self, encoded: Tensor, state: NetworkState, memoryless: bool = False
    ) -> tuple[Tensor, NetworkState]:
        """Run whole sequences, layer by layer; equal to `step` slice by slice at rest.

        Args:
            encoded: float32 [T, B, 2, h, w], from `encode`.
            state: at the start.
            memoryless: forget the state after every slice: a control, not a network.

        Returns:
            Log-odds of the intensities, float32 [T, B, 18], and the state at the end.
        """
        c, steps = self.configuration, len(encoded)
        *voltages, integrated = state
        spikes = encoded.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
        after: list[Tensor] = []
        for i, convolution in enumerate(self.convolutions):
            current = convolution(spikes.flatten(0, 1))
            if self.normalized:
                current = self.norms[i](current)
            # Channels last, as convolutions are fastest, and with one row per slice for the scan.
            current = current.unflatten(0, (steps, -1)).permute(0, 1, 3, 4, 2)
            voltage = voltages[i].permute(0, 2, 3, 1)
            leak = c.slice_ns * 1e-6 / c.tau_ms[i]
            if memoryless:
                # Every slice is a sequence of its own.
                start = voltage.repeat(steps, 1, 1, 1)
                fired, _ = fire(current.flatten(0, 1)[None], start, leak, c.surrogate_width)
                spikes = fired[0].view(steps, -1, *fired.shape[2:])
            else:
                spikes, voltage = fire(current, voltage, leak, c.surrogate_width)
            spikes = spikes.permute(0, 1, 4, 2, 3)
            after.append(voltage.permute(0, 3, 1, 2))
        drive = self.projection(spikes.flatten(2))
        parameters = self._leak()
        integrator = LIBoxState(v=integrated)
        values = []
        for now in drive.unbind():
            before = LIBoxState(v=integrated) if memoryless else integrator
            value, integrator = li_box_feed_forward_step(now, before, parameters, self._step_s)
            values.append(value)
        after.append(integrator.v)
        return self._read(torch.stack(values)), tuple(after)

    def deployed(self) -> SpikingNetwork:
        """Return the same network with its normalization folded into the convolutions."""
        result = SpikingNetwork(self.configuration, normalized=False)
        own = {k: v for k, v in self.state_dict().items() if not k.startswith('norms.')}
        for i, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            assert isinstance(convolution, nn.Conv2d)
            assert isinstance(norm, nn.BatchNorm2d)
            for key, value in folded(convolution, norm).state_dict().items():
                own[f'convolutions.{i}.{key}'] = value
        result.load_state_dict(own)
        return result.eval()

    @property
    def _step_s(self) -> float:
        return self.configuration.slice_ns * 1e-9

    def _leak(self) -> LIBoxParameters:
        # Norse keeps parameters outside of the module's, so the learnt ones are put in here.
        return LIBoxParameters(
            tau_mem_inv=torch.sigmoid(self.leak_logit) / self._step_s,
            v_leak=torch.zeros((), device=self.leak_logit.device),
        )

    def _read(self, integrated: Tensor) -> Tensor:
        scaled: Tensor = integrated * self.integrator_gain
        result: Tensor = self.readout(functional.relu(self.hidden(scaled)))
        return result
