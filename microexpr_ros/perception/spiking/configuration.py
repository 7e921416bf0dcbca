"""Shape and time constants of the spiking network; read without torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from microexpr_ros.events.grid import GRID, SLICE_NS
from microexpr_ros.perception.settings import added_field, renamed_field

LAYERS: Final = ('channels', 'kernels', 'strides', 'tau_ms')
"""What has a value for each spiking layer."""


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
            into rates. The traces have gathered events already; what is slower than needed for
            spikes hides short movements.
        neurons: 'lif' spike; 'graded' have no state and return the rate at which they would
            spike, which makes the analog network: what the same layers can do without spikes;
            'rectified' are graded ones whose rate has no upper limit.
        drive: what convolutions give to neurons: the 'rate' at which they are to fire, which
            becomes the current that makes them do so, or the 'current' itself.
        reset: of a spike: 'subtract' takes the threshold from the voltage, so that what is above
            it is not lost; 'zero' takes all.
        burst: most spikes of a neuron in a slice. Each counts one in so many, so that a rate has
            finer steps and what is above a threshold waits for the next slice less often.
        residual: layers of stride 1 that keep the number of channels add their input.
        signed_traces: sum and difference of ON and OFF are compressed, not each of them.
        adaptation: added to `semi_saturation`, in multiples of a trace's mean size over the
            region, so that small movements are still seen where the head moves.
        initial_gain: deviation of what is given to neurons at the start of training.
        decision: also read how likely each unit is the main one of a movement.
        decision_tau_ms: time constant over which evidence for it is gathered, at the start of
            training, ms.
        change_gain: factor on the changes between frames, in networks that see them; 0: training
            measures it, so that the typical change is compressed to a half.
    """

    grid: int = GRID
    pool: int = 2
    slice_ns: int = SLICE_NS
    trace_ms: tuple[float, ...] = (20.0, 60.0, 180.0, 540.0)
    semi_saturation: float = renamed_field(0.1, 'half')
    channels: tuple[int, ...] = (24, 48, 48, 96, 96, 96)
    kernels: tuple[int, ...] = (5, 3, 3, 3, 3, 3)
    strides: tuple[int, ...] = (2, 2, 1, 2, 1, 2)
    tau_ms: tuple[float, ...] = (20.0, 20.0, 20.0, 20.0, 20.0, 20.0)
    surrogate_width: float = 1.0
    dropout: float = 0.2
    integrators: int = 192
    integrator_tau_ms: float = 20.0
    neurons: Literal['lif', 'graded', 'rectified'] = added_field('lif', 'lif')
    drive: Literal['rate', 'current'] = added_field('rate', 'current')
    reset: Literal['subtract', 'zero'] = added_field('subtract', 'zero')
    burst: int = added_field(4, 1)
    residual: bool = added_field(True, False)
    signed_traces: bool = added_field(False, False)
    adaptation: float = added_field(0.0, 0.0)
    initial_gain: float = added_field(0.5, 2.0)
    decision: bool = added_field(True, False)
    decision_tau_ms: float = added_field(20.0, 20.0)
    change_gain: float = added_field(0.0, 20.0)

    def __post_init__(self) -> None:
        if len({len(getattr(self, name)) for name in LAYERS}) > 1:
            raise ValueError(
                'channels, kernels, strides and tau_ms need one value per spiking layer'
            )
        shortest_ms = min(
            *self.trace_ms, *self.tau_ms, self.integrator_tau_ms, self.decision_tau_ms
        )
        if shortest_ms * 1e6 < self.slice_ns:
            raise ValueError('a time constant shorter than a slice makes Euler steps unstable')
        for name in ('change_gain', 'adaptation'):
            if (value := getattr(self, name)) < 0:
                raise ValueError(f'{name} {value:g} must be 0 or more')
        if self.residual and self.drive == 'current':
            raise ValueError('layers add their input to a rate, not to a current')
        if self.burst < 1:
            raise ValueError(f'burst {self.burst} must be at least 1')
        if self.burst > 1 and self.reset != 'subtract':
            raise ValueError(f'burst {self.burst} needs the reset subtract: it is {self.reset}')

    @property
    def spikes(self) -> bool:
        """Whether the neurons spike; those that do not have no state."""
        return self.neurons == 'lif'

    def decays(self) -> tuple[float, ...]:
        """Return the factor of each trace per slice."""
        return tuple(1 - self.slice_ns * 1e-6 / tau for tau in self.trace_ms)

    def leak(self, layer: int) -> float:
        """Return the share of its voltage that a spiking layer loses per slice."""
        return self.slice_ns * 1e-6 / self.tau_ms[layer]

    def adds_input(self, layer: int) -> bool:
        """Return whether a layer adds its input."""
        same = layer > 0 and self.channels[layer - 1] == self.channels[layer]
        return self.residual and same and self.strides[layer] == 1

    def find_layers(self, grown: SpikingConfiguration) -> Sequence[int]:
        """Return where each layer is in a network with more layers that add their input.

        Raises:
            ValueError: it is not this network with more such layers.
        """

        def shapes(one: SpikingConfiguration) -> list[tuple[int, ...]]:
            return list(zip(one.channels, one.kernels, one.strides, strict=True))

        own, found = shapes(self), list[int]()
        for layer, shape in enumerate(shapes(grown)):
            if len(found) < len(own) and shape == own[len(found)]:
                found.append(layer)
            elif not grown.adds_input(layer):
                break
        else:
            if len(found) == len(own):
                return found
        raise ValueError(f'layers {shapes(grown)} are not {own} and others that add their input')
