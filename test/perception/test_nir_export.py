"""The spiking network in NIR, read back by nir, and run by norse beside our own network."""

from dataclasses import replace

import nir
import nirtorch
import numpy as np
import pytest
import torch
from norse.torch import LIBoxCell, LIBoxParameters, LIFBoxCell
from norse.torch.functional.reset import reset_subtract
from norse.torch.utils.import_nir import _import_norse_module

from microexpr_ros.errors import MicroexprError
from microexpr_ros.perception import weights
from microexpr_ros.perception.nir_export import build_graph, write_nir
from microexpr_ros.perception.spiking.configuration import SpikingConfiguration
from microexpr_ros.perception.spiking.network import SpikingNetwork
from microexpr_ros.perception.spiking.traces import update_traces

SMALL = SpikingConfiguration(
    grid=32,
    pool=2,
    trace_ms=(20.0, 60.0),
    channels=(6, 6, 8),
    kernels=(5, 3, 3),
    strides=(2, 1, 2),
    tau_ms=(20.0, 30.0, 20.0),
    integrators=12,
    integrator_tau_ms=40.0,
)
STEP_S = 0.01


def make_network(**changes):
    torch.manual_seed(1)
    network = SpikingNetwork(replace(SMALL, **changes)).eval()
    for norm in network.norms:
        torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
        torch.nn.init.uniform_(norm.bias, 0, 0.4)
    return network.deployed()


def read_back(network, path):
    nir.write(path, build_graph(network, 'abc'))
    return nir.read(path)


def test_layer_sizes_are_right(tmp_path):
    graph = read_back(make_network(), tmp_path / 'au.nir')
    sizes = {name: tuple(node.output_type['output']) for name, node in graph.nodes.items()}
    assert sizes == {
        'input': (4, 16, 16),
        'convolution_0': (6, 8, 8),
        'neurons_0': (6, 8, 8),
        'convolution_1': (6, 8, 8),
        'neurons_1': (6, 8, 8),
        'convolution_2': (8, 4, 4),
        'neurons_2': (8, 4, 4),
        'flat': (128,),
        'projection': (12,),
        'integrators': (12,),
        'output': (12,),
    }
    assert len(graph.edges) == len(graph.nodes) - 1
    told = {'step_s': STEP_S, 'reset': 'subtract', 'burst': 4, 'source': 'abc'}
    assert graph.metadata == told
    np.testing.assert_array_equal(graph.nodes['neurons_1'].v_threshold, 1)
    np.testing.assert_allclose(graph.nodes['neurons_1'].tau, 0.03, rtol=1e-6)
    np.testing.assert_allclose(graph.nodes['integrators'].tau, 0.04, rtol=1e-5)


class Bursts(torch.nn.Module):
    """A neuron of norse that spikes until its voltage is below the threshold, or `burst` times."""

    def __init__(self, cell, burst):
        super().__init__()
        self.first, self.further = cell, LIFBoxCell(cell.p, dt=0.0)
        self.burst = burst

    def forward(self, current, state=None):
        spikes, state = self.first(current, state)
        for _ in range(self.burst - 1):
            more, state = self.further(current, state)
            spikes = spikes + more
        return spikes, state


def import_by_norse(graph, subtract):
    """Return norse's network; it knows no integrators of NIR, one reset alone, and no bursts."""
    burst = graph.metadata['burst']

    def import_node(node):
        if isinstance(node, nir.LI):
            parameters = LIBoxParameters(
                tau_mem_inv=1 / torch.from_numpy(node.tau), v_leak=torch.from_numpy(node.v_leak)
            )
            return LIBoxCell(parameters, dt=STEP_S)
        module = _import_norse_module(node, dt=STEP_S)
        if subtract and isinstance(module, LIFBoxCell):
            module.p = module.p._replace(reset_method=reset_subtract)
        if burst > 1 and isinstance(module, LIFBoxCell):
            return Bursts(module, burst)
        return module

    # Batches are not part of NIR: what is flat there is flat from the second axis on here.
    graph.nodes['flat'].start_dim = 1
    with pytest.warns(DeprecationWarning, match='nirtorch'):
        return nirtorch.load(graph, import_node)


@pytest.mark.parametrize(
    'changes',
    [
        {},
        {'burst': 1},
        {'burst': 1, 'reset': 'zero'},
        {'residual': False, 'drive': 'current', 'initial_gain': 2.0},
        {'burst': 1, 'residual': False, 'drive': 'current', 'reset': 'zero', 'initial_gain': 2.0},
    ],
)
def test_norse_gives_what_our_network_gives(changes, tmp_path):
    network = make_network(**changes)
    c = network.configuration
    imported = import_by_norse(read_back(network, tmp_path / 'au.nir'), c.reset == 'subtract')
    generator = torch.Generator().manual_seed(3)
    encoded = torch.rand(25, 2, 2, 16, 16, generator=generator) * 0.3
    own, theirs, spikes = network.initial_state(2), None, 0.0
    with torch.no_grad():
        for slice_ in encoded:
            compressed, _ = update_traces(
                slice_, own[0], c.decays(), c.semi_saturation, c.signed_traces, c.adaptation
            )
            before = own
            _, own = network.step(slice_, own)
            integrated, theirs = imported(compressed, theirs)
            spikes += float((own[1] != before[1]).float().mean())
            # State after traces and three layers of neurons.
            torch.testing.assert_close(integrated, own[4], rtol=1e-3, atol=1e-4)
    assert spikes > 1
    assert float(own[4].std()) > 1e-3


def test_graded_neurons_are_refused():
    with pytest.raises(MicroexprError, match='graded neurons'):
        build_graph(make_network(neurons='graded'))


def test_weights_are_exported_beside_themselves(tmp_path):
    path = tmp_path / 'au.safetensors'
    path.write_bytes(weights.shipped('au').read_bytes())
    assert write_nir(path) == tmp_path / 'au.nir'
    assert sorted(file.name for file in tmp_path.iterdir()) == ['au.nir', 'au.safetensors']


def test_the_shipped_export_is_that_of_the_shipped_weights():
    path = weights.shipped('au')
    graph = nir.read(path.with_suffix('.nir'))
    assert graph.metadata['source'] == weights.load(path, 'au').hash
    assert graph.metadata['burst'] == 8
    assert tuple(graph.nodes['input'].input_type['input']) == (8, 64, 64)
    assert tuple(graph.nodes['neurons_7'].v_threshold.shape) == (96, 4, 4)
    assert graph.nodes['projection'].weight.shape == (192, 96 * 4 * 4)
