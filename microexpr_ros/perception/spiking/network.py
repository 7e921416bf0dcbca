"""The spiking network that turns slices of events into Action Unit intensities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

import torch
from norse.torch import LIFBoxFeedForwardState
from norse.torch.functional.leaky_integrator_box import (
    LIBoxParameters,
    LIBoxState,
    li_box_feed_forward_step,
)
from torch import Tensor, nn
from torch.nn import functional

from microexpr_ros.facs import CODES
from microexpr_ros.perception.folding import fold_batch_norm, put_back_batch_norm
from microexpr_ros.perception.spiking.burst_cell import BurstCell
from microexpr_ros.perception.spiking.configuration import LAYERS, SpikingConfiguration
from microexpr_ros.perception.spiking.lif import lif_sequence
from microexpr_ros.perception.spiking.traces import trace_sequence, update_traces

NetworkState: TypeAlias = tuple[Tensor, ...]
"""Traces [B, N, C, h, w], voltages [B, C, H, W] of each spiking layer, integrators [B, I], and,
with a decision, evidence [B, 18]."""


class SpikingNetwork(nn.Module):
    """Leaky traces, convolutions with leaky integrate-and-fire neurons, leaky integrators.

    Each spiking layer is convolution, normalization, LIF ("box": without synaptic current).
    What a layer that adds its input is given is a rate, and so is what it adds.
    In training, `forward` runs layer by layer over whole sequences, so the normalization
    pools its statistics over time and batch. `deployed` folds it away; `step` is the same
    network, one slice at a time.

    With `spiking` off the neurons have no state and return their firing rate under a constant
    current in place of spikes, and nothing is integrated. One slice, with its traces, is then
    enough to learn from. With `stochastic` on as well, training gives the next layer not the rate
    but the mean of random spikes at that rate, of as many slices as the next layer averages over:
    it learns to read what is as uncertain as spikes.

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
        self.traced, self.direct = traced, direct
        self.spiking, self.stochastic = True, False
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
                nn.init.constant_(norm.weight, c.initial_gain)
                self.norms.append(norm)
            before, side = channels, (side - 1) // stride + 1
            if not c.spikes:
                continue
            subtract = c.reset == 'subtract'
            self.cells.append(
                BurstCell(c.burst, tau_ms * 1e-3, step_s, subtract, c.surrogate_width)
            )
            self._shapes.append((channels, side, side))
        self.projection = nn.Linear(before * side**2, c.integrators)
        leak = torch.full((c.integrators,), c.slice_ns * 1e-6 / c.integrator_tau_ms)
        # The sigmoid keeps every learned time constant longer than a slice.
        self.leak_logit = nn.Parameter(torch.logit(leak, eps=1e-3))
        self.readout = nn.Linear(c.integrators, 2 * len(CODES))
        # Most units are absent most of the time.
        nn.init.constant_(self.readout.bias, -3.0)
        if c.decision:
            self.decision = nn.Linear(c.integrators, len(CODES), bias=False)
            self.decision_bias = nn.Parameter(torch.full((len(CODES),), -2.0))
            leak = torch.full((len(CODES),), c.slice_ns * 1e-6 / c.decision_tau_ms)
            self.decision_leak_logit = nn.Parameter(torch.logit(leak, eps=1e-3))

    @property
    def normalized(self) -> bool:
        """Whether the normalization is still separate."""
        return len(self.norms) > 0

    def initial_state(self, batch: int = 1) -> NetworkState:
        """Return the state of a network at rest."""
        device = self.leak_logit.device
        shapes = [*self._shapes, (self.configuration.integrators,)]
        if self.configuration.decision:
            shapes.append((len(CODES),))
        return tuple(torch.zeros(batch, *shape, device=device) for shape in shapes)

    @torch.no_grad()
    def warm_state(self, encoded: Tensor, state: NetworkState) -> NetworkState:
        """Return a state whose integrators and evidence have long seen the first slice.

        Args:
            encoded: float32 [T, B, C, h, w], from `encode`.
            state: at the start; where its traces are empty, the network has seen nothing, and
                stays at rest.
        """
        spiking, modes = self.spiking, {part: part.training for part in self.modules()}
        self.train(False)
        self.spiking = False
        _, after = self(encoded[:1], state)
        # Not `train`, as parts of the network may be in another mode than the whole.
        for part, mode in modes.items():
            part.training = mode
        self.spiking = spiking
        seen = state[0].flatten(1).any(1, keepdim=True)
        layers = len(self.cells) + 1
        return (*state[:layers], *(value * seen for value in after[layers:]))

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
            Log-odds, float32 [B, 18, 2 or 3] in the order of `facs.CODES`: of the square roots of
            the intensities on the subject's left and right and, with a decision, of the unit
            being the main one of a movement; and the new state.
        """
        c = self.configuration
        compressed, traces = update_traces(
            encoded, state[0], c.decays(), c.semi_saturation, c.signed_traces, c.adaptation
        )
        logits, after = self.step_compressed(compressed, state[1:])
        return logits, (traces, *after)

    def step_compressed(
        self, compressed: Tensor, state: NetworkState
    ) -> tuple[Tensor, NetworkState]:
        """Advance by one slice whose traces are known, as `step` does.

        Args:
            compressed: float32 [B, N * K + C - K, h, w], from `update_traces`.
            state: of the slice before, without its traces.
        """
        c, values = self.configuration, compressed
        voltages, integrated, evidence = self._split(state)
        after = []
        for i, convolution in enumerate(self.convolutions):
            driven = self._drive(i, convolution(values), values)
            if not c.spikes:
                values = self._rate(i, driven)
                continue
            current = self._current(i, driven)
            values, membrane = self.cells[i](current, LIFBoxFeedForwardState(v=voltages[i]))
            after.append(membrane.v)
        drive = self.projection(values.flatten(1))
        value, integrator = li_box_feed_forward_step(
            drive, LIBoxState(v=integrated), self._leak(), self._step_s
        )
        after.append(integrator.v)
        features = functional.relu(value)
        if evidence is not None:
            evidence = evidence + self._decision_leak() * (self.decision(features) - evidence)
            after.append(evidence)
        return self._read(features, evidence), tuple(after)

    def forward(
        self, encoded: Tensor, state: NetworkState, memoryless: bool = False
    ) -> tuple[Tensor, NetworkState]:
        """Run whole sequences, layer by layer; equal to `step` slice by slice at rest.

        Args:
            encoded: float32 [T, B, C, h, w], from `encode`.
            state: at the start.
            memoryless: reset the state before every slice, as a control of what memory is worth.

        Returns:
            As `step`, of each slice, float32 [T, B, 18, 2 or 3], and the new state.
        """
        if memoryless:
            return run_memoryless(self, encoded, state)
        c, steps = self.configuration, len(encoded)
        voltages, integrated, evidence = self._split(state[1:])
        values, traces = trace_sequence(
            encoded, state[0], c.decays(), c.semi_saturation, c.signed_traces, c.adaptation
        )
        after = [traces]
        for i, convolution in enumerate(self.convolutions):
            flat = values.flatten(0, 1).contiguous(memory_format=torch.channels_last)
            driven = self._drive(i, convolution(flat), flat)
            if not (c.spikes and self.spiking):
                values = self._rate(i, driven).view(steps, -1, *driven.shape[1:])
                after += voltages[i : i + 1]
                continue
            # Channels last, as convolutions are fastest, and with one row per slice for the scan.
            # Eight bits, if convolutions compute in bfloat16, are too few to add up.
            current = self._current(i, driven.float()).view(steps, -1, *driven.shape[1:])
            values, voltage = lif_sequence(
                current.permute(0, 1, 3, 4, 2),
                voltages[i].permute(0, 2, 3, 1),
                c.leak(i),
                c.surrogate_width,
                c.reset == 'subtract',
                c.burst,
            )
            values = values.permute(0, 1, 4, 2, 3)
            after.append(voltage.permute(0, 3, 1, 2))
        kept = functional.dropout(values.flatten(2), c.dropout, self.training)
        drive = self.projection(kept)
        if self.spiking:
            drive, integrated = _integrate(drive, integrated, torch.sigmoid(self.leak_logit))
        else:
            integrated = drive[-1]
        after.append(integrated)
        features = functional.relu(drive)
        found = None
        if evidence is not None:
            found = self.decision(features)
            if self.spiking:
                found, evidence = _integrate(found, evidence, self._decision_leak())
            else:
                evidence = found[-1]
            after.append(evidence)
        return self._read(features, found), tuple(after)

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

    @torch.no_grad()
    def trainable(
        self, encoded: Tensor, state: NetworkState, grown: SpikingConfiguration | None = None
    ) -> SpikingNetwork:
        """Return the form that is trained of a deployed network: what weights files hold.

        Normalization by the statistics of a batch takes the place of the biases, and what comes
        out stays the same.

        Args:
            encoded: float32 [T, B, C, h, w], from `encode`, of many clips.
            state: at the start.
            grown: with more layers that add their input: at first, they add nothing to it. Only
                its layers are looked at.

        Raises:
            ValueError: it is not this network with more such layers.
        """
        own = self.configuration
        layers: Sequence[int] = range(len(own.channels))
        if grown is not None:
            layers = own.find_layers(grown)
            own = replace(own, **{name: getattr(grown, name) for name in LAYERS})
        result = SpikingNetwork(own, traced=self.traced, direct=self.direct)
        tensors, convolved = dict(self.state_dict()), list[Tensor]()
        hooks = [
            convolution.register_forward_hook(lambda _, __, out: convolved.append(out))
            for convolution in self.convolutions
        ]
        # With rates, as the first part of a training has them.
        spiking, self.spiking = self.spiking, False
        self.eval()(encoded, state)
        self.spiking = spiking
        for hook in hooks:
            hook.remove()
        for norm in result.norms:
            assert isinstance(norm, nn.BatchNorm2d)
            nn.init.zeros_(norm.weight)
        moved: dict[str, Tensor] = {}
        for number, (layer, out) in enumerate(zip(layers, convolved, strict=True)):
            norm, before = result.norms[layer], f'convolutions.{number}'
            assert isinstance(norm, nn.BatchNorm2d)
            put_back_batch_norm(norm, tensors.pop(f'{before}.bias'), out)
            moved[f'convolutions.{layer}.weight'] = tensors.pop(f'{before}.weight')
        result.load_state_dict({**result.state_dict(), **tensors, **moved})
        return result

    @torch.no_grad()
    def limited(
        self, encoded: Tensor, state: NetworkState, quantile: float = 0.999
    ) -> SpikingNetwork:
        """Return a deployed network of rectified neurons as one of graded neurons.

        Each channel is divided by a rate that it seldom exceeds, and what reads it is multiplied
        by that (Rueckauer et al., 2017): only what is rarer meets the limit of 1.

        Args:
            encoded: float32 [T, B, C, h, w], from `encode`, of many clips.
            state: at the start.
            quantile: share of the rates of a channel that stay below the limit.
        """
        c, rates = self.configuration, list[Tensor]()
        hooks = [
            reader.register_forward_pre_hook(lambda _, given: rates.append(given[0]))
            for reader in (*self.convolutions[1:], self.projection)
        ]
        self.eval()(encoded, state)
        for hook in hooks:
            hook.remove()
        largest = []
        for seen, channels in zip(rates, c.channels, strict=True):
            by_channel = seen.reshape(encoded.shape[:2].numel(), channels, -1)
            sorted_rates = by_channel.transpose(0, 1).flatten(1).sort(1).values
            largest.append(sorted_rates[:, round(quantile * (sorted_rates.shape[1] - 1))])
        # A layer that adds its input has the unit of its input.
        for layer in reversed(range(len(largest))):
            if c.adds_input(layer):
                largest[layer - 1] = torch.maximum(largest[layer - 1], largest[layer])
        for layer in range(len(largest)):
            if c.adds_input(layer):
                largest[layer] = largest[layer - 1]
        # A channel that is silent stays so.
        units = [torch.where(rate > 0, rate, 1.0) for rate in largest]
        result = SpikingNetwork(replace(c, neurons='graded'), False, self.traced, self.direct)
        result.load_state_dict(self.state_dict())
        for layer, convolution in enumerate(result.convolutions):
            assert isinstance(convolution, nn.Conv2d)
            assert convolution.bias is not None
            if layer:
                convolution.weight.mul_(units[layer - 1][:, None, None])
            convolution.weight.div_(units[layer][:, None, None, None])
            convolution.bias.div_(units[layer])
        pixels = result.projection.in_features // c.channels[-1]
        result.projection.weight.mul_(units[-1].repeat_interleave(pixels))
        return result.eval()

    def _split(self, state: NetworkState) -> tuple[tuple[Tensor, ...], Tensor, Tensor | None]:
        """Return voltages, integrators and evidence of a state without its traces."""
        evidence = state[-1] if self.configuration.decision else None
        *voltages, integrated = state if evidence is None else state[:-1]
        return tuple(voltages), integrated, evidence

    def _drive(self, layer: int, convolved: Tensor, values: Tensor) -> Tensor:
        """Normalize what a layer is given, and add its input where it does so."""
        driven = self.norms[layer](convolved) if self.normalized else convolved
        return driven + values if self.configuration.adds_input(layer) else driven

    def _current(self, layer: int, driven: Tensor) -> Tensor:
        c = self.configuration
        if c.drive == 'current':
            return driven
        return current_for_rate(driven, c.leak(layer), c.burst)

    def _rate(self, layer: int, driven: Tensor) -> Tensor:
        c = self.configuration
        if c.neurons == 'rectified':
            return driven.relu()
        if c.drive == 'current':
            return firing_rate(driven, c.leak(layer), c.burst)
        if not self.training:
            return driven.clamp(0, 1)
        rate = limit_rate(driven)
        if self.spiking or not self.stochastic:
            return rate
        return random_spikes(rate, averaged_slices(self._reading_leak(layer)), c.burst)

    def _reading_leak(self, layer: int) -> float:
        """Return the leak of what a layer's spikes are read by."""
        c = self.configuration
        if layer + 1 < len(c.channels):
            return c.leak(layer + 1)
        return float(torch.sigmoid(self.leak_logit.detach()).mean())

    @property
    def _step_s(self) -> float:
        return self.configuration.slice_ns * 1e-9

    def _leak(self) -> LIBoxParameters:
        # Norse keeps parameters outside of `state_dict`, so the learned ones are inserted here.
        return LIBoxParameters(
            tau_mem_inv=torch.sigmoid(self.leak_logit) / self._step_s,
            v_leak=torch.zeros((), device=self.leak_logit.device),
        )

    def _decision_leak(self) -> Tensor:
        return torch.sigmoid(self.decision_leak_logit)

    def _read(self, features: Tensor, evidence: Tensor | None) -> Tensor:
        result: Tensor = self.readout(features)
        result = result.view(*result.shape[:-1], len(CODES), 2)
        if evidence is None:
            return result
        return torch.cat([result, (evidence + self.decision_bias)[..., None]], -1)


def _integrate(drive: Tensor, integrated: Tensor, leak: Tensor) -> tuple[Tensor, Tensor]:
    """Run leaky integrators over a sequence, and return all values and the last ones.

    Args:
        drive: float32 [T, ...].
        integrated: float32 [...], at the start.
        leak: share of the difference that is made up per slice.
    """
    values = []
    for now in drive.unbind():
        integrated = integrated + leak * (now - integrated)
        values.append(integrated)
    return torch.stack(values), integrated


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


def firing_rate(current: Tensor, leak: float, burst: int = 1) -> Tensor:
    """Return the approximate spikes per slice of a neuron at constant current.

    Exact below the threshold and where every slice has all spikes; linear in between, which is
    within 0.1 of a neuron whose single spikes subtract the threshold, with a leak of 0.25.

    Args:
        current: float32 [...].
        leak: time step over the membrane's time constant, below 1.
        burst: most spikes in a slice, of which the rate is a share; one in so many is the
            threshold.
    """
    return limit_rate((current - 1 / burst) / (1 / leak - 1 / burst))


def current_for_rate(rate: Tensor, leak: float, burst: int = 1) -> Tensor:
    """Return the current at which `firing_rate` is a rate."""
    return 1 / burst + (1 / leak - 1 / burst) * rate


def limit_rate(rate: Tensor) -> Tensor:
    """Return rates limited to 0 to 1, with gradients from -1 to 2.

    Without these, a neuron that never fires on a batch would learn nothing from it.
    """
    wide = rate.clamp(-1, 2)
    return wide + (wide.clamp(0, 1) - wide).detach()


def averaged_slices(leak: float) -> int:
    """Return over how many slices a leaky integrator averages: what is left of noise says so.

    Of white noise, the share leak / (2 - leak) of the variance is left.
    """
    return max(round((2 - leak) / leak), 1)


def random_spikes(rate: Tensor, slices: int = 1, burst: int = 1) -> Tensor:
    """Return the spikes per slice of neurons that fire at random; gradients are those of the rate.

    Args:
        rate: float32 [...], spikes per slice as a share of `burst`. In a slice there are as many
            as that is rounded up or down, at random, so that their mean is the rate.
        slices: how many are averaged.
        burst: most spikes in a slice; with 1, the rate is the probability of a spike.
    """
    wanted = burst * rate.detach().clamp(0, 1)
    certain = wanted.floor()
    chance = wanted - certain
    drawn = torch.bernoulli(chance)
    for _ in range(slices - 1):
        drawn += torch.bernoulli(chance)
    return rate + ((certain + drawn / slices) / burst - rate).detach()


def intensities(logits: Tensor) -> Tensor:
    """Return intensities, 0 to 1, from the network's output: the log-odds of their square roots.

    With the roots, small intensities count in the loss.
    """
    return torch.sigmoid(logits).square()
