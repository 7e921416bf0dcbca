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

from microexpr_ros.events.grid import GRID, SLICE_NS
from microexpr_ros.facs import CODES
from microexpr_ros.perception.folding import fold_batch_norm
from microexpr_ros.perception.settings import renamed_field
from microexpr_ros.perception.spiking.lif import lif_sequence
from microexpr_ros.perception.spiking.traces import trace_sequence, update_traces

NetworkState: TypeAlias = tuple[Tensor, ...]
"""Traces [B, N, C, h, w], voltages [B, C, H, W] of each spiking layer, integrators [B, I]."""


@dataclass(frozen=True, slots=True)
class SpikingConfiguration:
    """Shape and time constants of the network.

    Attributes:
        grid: rows and columns of a slice.
        pool: cells per side that are summed into one input pixel.
        slice_ns: length of a slice; one step of the network.
        trace_ms: time constants of the leaky traces that every input pixel keeps, ms.
        semi_saturation: trace, in events per sensor pixel, at which the compressed input is
            half of its largest; `half` in files.
        channels: of the spiking layers.
        kernels: sizes of their convolutions.
        strides: of their convolutions; the first is large, as fine layers cost the most.
        tau_ms: membrane time constants of the spiking layers, ms.
        surrogate_width: slope of the triangular surrogate gradient (Esser et al., 2016).
        dropout: share of the last spikes that training drops.
        integrators: leaky integrators that the last spikes are projected on.
        integrator_tau_ms: their time constant at the start of training, ms: they smooth spikes
            into rates.
    """

    grid: int = GRID
    pool: int = 2
    slice_ns: int = SLICE_NS
    trace_ms: tuple[float, ...] = (20.0, 60.0, 180.0, 540.0)
    semi_saturation: float = renamed_field(0.1, 'half')
    channels: tuple[int, ...] = (32, 64, 64, 96)
    kernels: tuple[int, ...] = (5, 3, 3, 3)
    strides: tuple[int, ...] = (4, 2, 1, 2)
    tau_ms: tuple[float, ...] = (20.0, 20.0, 20.0, 20.0)
    surrogate_width: float = 1.0
    dropout: float = 0.2
    integrators: int = 128
    integrator_tau_ms: float = 40.0

    def __post_init__(self) -> None:
        if len({len(v) for v in (self.channels, self.kernels, self.strides, self.tau_ms)}) > 1:
            raise ValueError(
                'channels, kernels, strides and tau_ms need one value per spiking layer'
            )
        if min(*self.trace_ms, *self.tau_ms, self.integrator_tau_ms) * 1e6 < self.slice_ns:
            raise ValueError('a time constant shorter than a slice makes Euler steps unstable')

    def decays(self) -> tuple[float, ...]:
        """Return the factor of each trace per slice."""
        return tuple(1 - self.slice_ns * 1e-6 / tau for tau in self.trace_ms)


class SpikingNetwork(nn.Module):
    """Leaky traces, convolutions with leaky integrate-and-fire neurons, leaky integrators.

    Each spiking layer is convolution, normalization, LIF ("box": without synaptic current).
    In training, `forward` runs layer by layer over whole sequences, so the normalization
    pools its statistics over time and batch. `deployed` folds it away; `step` is the same
    network, one slice at a time.

    With `spiking` off the neurons have no state and return their firing rate under a constant
    current in place of spikes. One slice, with its traces, is then enough to learn from.

    Args:
        configuration: shape and time constants.
        normalized: False for the deployed form, whose convolutions have a bias instead.
        traced: input channels with traces: events have two, OFF and ON.
        direct: input channels after these, without traces.
    """

    def __init__(
        self,
        configuration: SpikingConfiguration | None = None,
        normalized: bool = True,
        traced: int = 2,
        direct: int = 0,
    ) -> None:
        super().__init__()
        self.configuration = c = configuration or SpikingConfiguration()
        self.traced, self.direct, self.spiking = traced, direct, True
        step_s, side = c.slice_ns * 1e-9, c.grid // c.pool
        self.convolutions = nn.ModuleList()
        self.norms = nn.ModuleList()
        self.cells = nn.ModuleList()
        self._shapes: list[tuple[int, ...]] = [(len(c.trace_ms), traced, side, side)]
        before = len(c.trace_ms) * traced + direct
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
        leak = torch.full((c.integrators,), c.slice_ns * 1e-6 / c.integrator_tau_ms)
        # The sigmoid keeps every learned time constant longer than a slice.
        self.leak_logit = nn.Parameter(torch.logit(leak))
        self.readout = nn.Linear(c.integrators, 2 * len(CODES))
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
            counts: [..., C, grid, grid], events per cell, OFF then ON; or already pooled.
            pixels_per_cell: sensor pixels per cell of the grid, broadcast to [..., C, h, w].

        Returns:
            Events per sensor pixel, float32 [..., C, grid / pool, grid / pool].
        """
        c = self.configuration
        pooled = counts.float()
        if counts.shape[-1] == c.grid and c.pool > 1:
            side = c.grid // c.pool
            pooled = pooled.reshape(*counts.shape[:-2], side, c.pool, side, c.pool)
            pooled = pooled.sum((-1, -3))
        return pooled / (c.pool**2 * pixels_per_cell)

    def step(self, encoded: Tensor, state: NetworkState) -> tuple[Tensor, NetworkState]:
        """Advance by one slice.

        Args:
            encoded: float32 [B, C, h, w], from `encode`.
            state: of the slice before.

        Returns:
            Log-odds of the square roots of intensities, float32 [B, 18, 2] in the order of
            `facs.CODES`, on the subject's left and right, and the new state.
        """
        traces, *voltages, integrated = state
        c = self.configuration
        spikes, traces = update_traces(encoded, traces, c.decays(), c.semi_saturation)
        after = [traces]
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
            encoded: float32 [T, B, C, h, w], from `encode`.
            state: at the start.
            memoryless: reset the state before every slice, as a control of what memory is worth.

        Returns:
            Log-odds of the square roots of intensities, float32 [T, B, 18, 2], and the new state.
        """
        if memoryless:
            return run_memoryless(self, encoded, state)
        c, steps = self.configuration, len(encoded)
        traces, *voltages, integrated = state
        spikes, traces = trace_sequence(encoded, traces, c.decays(), c.semi_saturation)
        after = [traces]
        for i, convolution in enumerate(self.convolutions):
            current = spikes.flatten(0, 1).contiguous(memory_format=torch.channels_last)
            current = convolution(current)
            if self.normalized:
                current = self.norms[i](current)
            # Channels last, as convolutions are fastest, and with one row per slice for the scan.
            current = current.unflatten(0, (steps, -1)).permute(0, 1, 3, 4, 2)
            voltage = voltages[i].permute(0, 2, 3, 1)
            leak = c.slice_ns * 1e-6 / c.tau_ms[i]
            if self.spiking:
                spikes, voltage = lif_sequence(current, voltage, leak, c.surrogate_width)
            else:
                spikes = firing_rate(current, leak)
            spikes = spikes.permute(0, 1, 4, 2, 3)
            after.append(voltage.permute(0, 3, 1, 2))
        kept = functional.dropout(spikes.flatten(2), c.dropout, self.training)
        drive = self.projection(kept)
        if not self.spiking:
            return self._read(drive), (*after, drive[-1])
        parameters = self._leak()
        integrator = LIBoxState(v=integrated)
        values = []
        for now in drive.unbind():
            value, integrator = li_box_feed_forward_step(now, integrator, parameters, self._step_s)
            values.append(value)
        after.append(integrator.v)
        return self._read(torch.stack(values)), tuple(after)

    def deployed(self) -> SpikingNetwork:
        """Return the same network with its normalization folded into the convolutions."""
        result = SpikingNetwork(self.configuration, False, self.traced, self.direct)
        own = {k: v for k, v in self.state_dict().items() if not k.startswith('norms.')}
        for i, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            assert isinstance(convolution, nn.Conv2d)
            assert isinstance(norm, nn.BatchNorm2d)
            for key, value in fold_batch_norm(convolution, norm).state_dict().items():
                own[f'convolutions.{i}.{key}'] = value
        result.load_state_dict(own)
        return result.eval()

    @property
    def _step_s(self) -> float:
        return self.configuration.slice_ns * 1e-9

    def _leak(self) -> LIBoxParameters:
        # Norse keeps parameters outside of `state_dict`, so the learned ones are inserted here.
        return LIBoxParameters(
            tau_mem_inv=torch.sigmoid(self.leak_logit) / self._step_s,
            v_leak=torch.zeros((), device=self.leak_logit.device),
        )

    def _read(self, integrated: Tensor) -> Tensor:
        result: Tensor = self.readout(functional.relu(integrated))
        return result.view(*result.shape[:-1], len(CODES), 2)


def run_memoryless(
    network: nn.Module, encoded: Tensor, state: NetworkState
) -> tuple[Tensor, NetworkState]:
    """Run every slice as a sequence of its own, from the same state.

    Args:
        network: takes float32 [T, B, ...] and a state, and gives results of each slice and the
            state at the end.
        encoded: float32 [T, B, ...].
        state: at the start of every slice.
    """
    start = tuple(v.repeat(len(encoded), *[1] * (v.dim() - 1)) for v in state)
    logits, after = network(encoded.flatten(0, 1)[None], start)
    last = tuple(v[-encoded.shape[1] :] for v in after)
    return logits[0].unflatten(0, encoded.shape[:2]), last


def firing_rate(current: Tensor, leak: float) -> Tensor:
    """Return the approximate spikes per slice of a neuron of threshold 1 at constant current.

    Exact below the threshold and where every slice has a spike; linear in between.

    Args:
        current: float32 [...].
        leak: time step over the membrane's time constant, below 1.
    """
    return ((current - 1) / (1 / leak - 1)).clamp(0, 1)


def intensities(logits: Tensor) -> Tensor:
    """Return intensities, 0 to 1, from the network's output: the log-odds of their square roots.

    With the roots, small intensities count in the loss.
    """
    return torch.sigmoid(logits).square()
