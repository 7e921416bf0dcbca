import os
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from microexpr_ros.alignment.slices import Slice
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.region import AlignedRegion, Region
from microexpr_ros.perception import weights
from microexpr_ros.perception.classifier import ActionUnitClassifier
from microexpr_ros.perception.export import export_au, write_export
from microexpr_ros.perception.presence import Presence
from microexpr_ros.perception.reconstruction.configuration import ReconstructionConfiguration
from microexpr_ros.perception.reconstruction.network import ConditionalVae
from microexpr_ros.perception.reconstruction.reconstructor import Reconstructor
from microexpr_ros.perception.runtime import Runtime, load_export
from microexpr_ros.perception.spiking.configuration import SpikingConfiguration
from microexpr_ros.perception.spiking.network import SpikingNetwork

GRID = 32
STEP_NS = 10_000_000
# The exported network must take the size of a region as input, not as a constant.
REGIONS = (Region(0, 0, GRID, GRID), Region(3, 5, 3 * GRID, 2 * GRID))


@pytest.fixture(autouse=True)
def threads():
    count = torch.get_num_threads()
    yield
    torch.set_num_threads(count)


@pytest.fixture(scope='module')
def classifier():
    torch.manual_seed(0)
    configuration = SpikingConfiguration(
        grid=GRID,
        channels=(4, 6),
        kernels=(5, 3),
        strides=(2, 2),
        tau_ms=(20.0, 40.0),
        integrators=8,
    )
    network = SpikingNetwork(configuration).eval().deployed()
    # Untrained, the last neurons never spike and no unit is active.
    with torch.no_grad():
        network.convolutions[1].weight.mul_(30)
        network.readout.weight.mul_(5)
        network.readout.bias.zero_()
    return ActionUnitClassifier(network, Presence.uncalibrated(0.5))


@pytest.fixture(scope='module')
def reconstructor():
    torch.manual_seed(0)
    configuration = ReconstructionConfiguration(grid=GRID, fine=4, width=4, latent=2)
    return Reconstructor(ConditionalVae(configuration).eval().deployed())


@pytest.fixture(scope='module')
def exported(classifier, reconstructor, tmp_path_factory):
    """Return a folder with the weights of both networks, and their exports beside them."""
    folder = tmp_path_factory.mktemp('exported')
    for kind, model in (('au', classifier), ('reconstruction', reconstructor)):
        path = folder / f'{kind}.safetensors'
        weights.save(path, kind, 'tiny', model.to_settings(), model.network.state_dict())
        assert write_export(path, kind) == folder / f'{kind}.onnx'
    return folder


@pytest.fixture
def folder(exported, tmp_path):
    """Return a copy of the exports that a test may spoil."""
    return shutil.copytree(exported, tmp_path / 'copy')


def slices(count):
    generator = np.random.default_rng(0)
    out = []
    for k in range(count):
        counts = generator.poisson(generator.uniform(0, 1), (2, GRID, GRID)).astype(np.uint8)
        frame = generator.integers(0, 256, (GRID, GRID), np.uint8) if k % 25 == 4 else None
        region = REGIONS[k // 10 % 2]
        end_ns = (k + 1) * STEP_NS
        out.append(Slice(end_ns, STEP_NS, region, counts, int(counts.sum()), frame))
    return out


def estimates(classifier, stream):
    state = classifier.initial_state()
    for slice_ in stream:
        estimate, state = classifier.step(slice_, state)
        yield estimate, state


def images(reconstructor, stream):
    state = reconstructor.initial_state()
    for slice_ in stream:
        state = reconstructor.observe(slice_, state)
        yield reconstructor.reconstruct(state).image


def in_thresholds(state, configuration):
    """Return a state of the network as its export has it: with voltages in thresholds."""
    c = configuration
    # They come after the traces.
    arrays = (
        c.burst * array if 0 < number <= len(c.channels) else array
        for number, array in enumerate(state.network)
    )
    return replace(state, network=tuple(arrays))


def test_exported_step_is_the_network(exported, classifier):
    runtime = Runtime((exported / 'au.onnx').read_bytes())
    fast = ActionUnitClassifier(classifier.network, classifier.presence, runtime=runtime)
    stream = slices(60)
    active, spread = [], []
    pairs = zip(estimates(classifier, stream), estimates(fast, stream), strict=True)
    for (slow_estimate, slow_state), (fast_estimate, fast_state) in pairs:
        np.testing.assert_allclose(
            fast_estimate.intensity, slow_estimate.intensity, rtol=0, atol=1e-5
        )
        np.testing.assert_array_equal(fast_estimate.active, slow_estimate.active)
        same_arrays = in_thresholds(slow_state, classifier.configuration).network
        for fast_array, same_array in zip(fast_state.network, same_arrays, strict=True):
            np.testing.assert_allclose(fast_array, same_array, rtol=0, atol=1e-4)
        active.append(slow_estimate.active)
        spread.append(slow_estimate.intensity)
    # Else the networks would agree because nothing happens in them.
    assert {False, True} == set(np.unique(active))
    assert np.ptp(spread, axis=0).max() > 0.2


def made_slices(count, seed=0):
    """Yield spots that move over the shipped network's grid, with pauses."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[:128, :128]
    for k in range(count):
        spots = [
            (64 + 40 * np.sin(k / a), 64 + 40 * np.cos(k / b)) for a, b in ((17, 29), (41, 7))
        ]
        near = sum(np.exp(-((rows - r) ** 2 + (columns - c) ** 2) / 200) for r, c in spots)
        rate = 0.01 + near * (k % 100 < 60)
        counts = generator.poisson(rate, (2, 128, 128)).astype(np.uint8)
        region = AlignedRegion(128, 128, 256)
        yield Slice((k + 1) * STEP_NS, STEP_NS, region, counts, int(counts.sum()))


def made_streams(count):
    # Which spikes fall to the other side at the threshold is luck, and one stream is short for it.
    return [made_slices(count, seed) for seed in range(3)]


def real_streams(count):
    from microexpr_ros import bags
    from microexpr_ros.cli.bench.models import face_slices
    from microexpr_ros.cli.demo import real_face, sources

    bag = sources.cache_folder() / f'{real_face.PACKAGE}-{real_face.VERSION}-face'
    if not bags.is_bag(bag):
        pytest.skip('the real recording is not here: `microexpr demo` downloads it')
    return [islice(face_slices(sources.inspect_bag(bag, 'real')), count)]


def find_ties(one, other):
    """Return the voltages at which only one network spiked, in the first layer with such."""
    # Without the traces before, and integrators and evidence after them.
    for a, b in zip(one[1:-2], other[1:-2], strict=True):
        a, b = np.asarray(a), np.asarray(b)
        higher = np.maximum(a, b)[np.abs(a - b) > 0.5]
        if len(higher):
            # A spike takes the threshold, 1, from the voltage: of a burst, the last one decides.
            return higher
    return np.zeros(0)


@pytest.mark.parametrize('streams', [made_streams, real_streams])
def test_shipped_export_decides_as_the_network_over_a_thousand_slices(streams):
    slow = ActionUnitClassifier.from_weights(weights.load(weights.shipped('au'), 'au'))
    fast = ActionUnitClassifier.load()
    runs = [step_both(list(stream), slow, fast) for stream in streams(1000)]
    # Left alone, rounding moves single spikes, which later ones follow.
    intensity, active = (
        np.concatenate([[[getattr(e, name) for e in run] for run in pair] for pair in runs], 1)
        for name in ('intensity', 'active')
    )
    assert np.corrcoef(*intensity.reshape(2, -1))[0, 1] >= 0.995
    assert (active[0] == active[1]).all(axis=1).mean() >= 0.98
    # Where they decide differently, both are close to the limit.
    differ = active[0] != active[1]
    limits = np.broadcast_to(fast.presence.threshold, differ.shape)[differ]
    assert np.abs(intensity[:, differ] - limits).max(initial=0) < 0.015
    # Else they would agree because nothing happens.
    assert np.ptp(intensity[0], axis=0).max() > 0.15
    assert {False, True} == set(np.unique(active[0]))


def step_both(stream, slow, fast):
    """Return the estimates of the network and of its export, each left alone.

    From one state, a step must be the same but for rounding.
    """
    assert len(stream) == 1000
    state, own = slow.initial_state(), fast.initial_state()
    expected, same_state, alone, ties = [], [], [], []
    for slice_ in stream:
        estimate, after = fast.step(slice_, in_thresholds(state, slow.configuration))
        same_state.append(estimate)
        estimate, state = slow.step(slice_, state)
        ties.append(find_ties(after.network, in_thresholds(state, slow.configuration).network))
        expected.append(estimate)
        estimate, own = fast.step(slice_, own)
        alone.append(estimate)
    # Rounding decides on a spike where a voltage lies at the threshold, and on nothing else.
    # Voltages are in thresholds here, of which `burst` make the 1 of the network.
    rounding = 1e-6 * slow.configuration.burst
    assert all(np.abs(tie - 1).max() < rounding for tie in ties if len(tie))
    equal = [
        bool(np.allclose(one.sides, other.sides, rtol=0, atol=1e-3))
        and np.array_equal(one.active, other.active)
        for one, other in zip(same_state, expected, strict=True)
    ]
    assert all(len(tie) for tie, same in zip(ties, equal, strict=True) if not same)
    # With eight thresholds for each of 81,000 neurons, one slice in a hundred has such a voltage,
    # and few of these change what is read.
    assert sum(len(tie) > 0 for tie in ties) <= 20
    assert equal.count(False) <= 5
    assert [one.status for one in same_state] == [other.status for other in expected]
    return expected, alone


def test_an_export_runs_where_there_is_no_torch(folder, classifier):
    stream = slices(5)
    np.save(folder / 'counts.npy', [slice_.counts for slice_ in stream])
    script = f"""
import sys
sys.modules.update(torch=None, norse=None)
from pathlib import Path
import numpy as np
from microexpr_ros.alignment.slices import Slice
from microexpr_ros.events.region import Region
from microexpr_ros.perception.classifier import ActionUnitClassifier
classifier = ActionUnitClassifier.load(Path('au.safetensors'))
state = classifier.initial_state()
for k, counts in enumerate(np.load('counts.npy'), 1):
    slice_ = Slice(k * {STEP_NS}, {STEP_NS}, Region(0, 0, {GRID}, {GRID}), counts, 0)
    estimate, state = classifier.step(slice_, state)
np.save('intensity.npy', estimate.intensity)
"""
    command = [sys.executable, '-c', script]
    environment = os.environ | {'PYTHONPATH': str(Path(__file__).resolve().parents[2])}
    subprocess.run(command, cwd=folder, env=environment, check=True)
    (*_, (estimate, _)) = estimates(classifier, stream)
    np.testing.assert_allclose(np.load(folder / 'intensity.npy'), estimate.intensity, atol=1e-5)


def test_the_shipped_reconstruction_runs_without_torch(tmp_path):
    stream = list(made_slices(20))
    np.save(tmp_path / 'counts.npy', [slice_.counts for slice_ in stream])
    script = f"""
import sys
import numpy as np
from microexpr_ros.alignment.slices import Slice
from microexpr_ros.events.region import Region
from microexpr_ros.perception.reconstruction.reconstructor import Reconstructor
reconstructor = Reconstructor.load()
state = reconstructor.initial_state()
for k, counts in enumerate(np.load('counts.npy'), 1):
    slice_ = Slice(k * {STEP_NS}, {STEP_NS}, Region(0, 0, 256, 256), counts, 0)
    state = reconstructor.observe(slice_, state)
np.save('image.npy', reconstructor.reconstruct(state).image)
assert 'torch' not in sys.modules
"""
    command = [sys.executable, '-c', script]
    environment = os.environ | {'PYTHONPATH': str(Path(__file__).resolve().parents[2])}
    subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    image = np.load(tmp_path / 'image.npy')
    *_, same = images(Reconstructor.load(), stream)
    np.testing.assert_array_equal(image, same)
    file = weights.load(weights.shipped('reconstruction'), 'reconstruction')
    *_, reference = images(Reconstructor.from_weights(file), stream)
    assert np.abs(image.astype(int) - reference).max() <= 1
    assert np.ptp(image) > 10


def test_an_export_of_another_form_is_refused(folder, classifier):
    path = folder / 'au.safetensors'
    file = weights.load(path, 'au')
    # As of before the traces were left to `RegionTraces`: its input was larger.
    larger = replace(classifier.configuration, grid=2 * GRID)
    network = SpikingNetwork(larger, normalized=False)
    path.with_suffix('.onnx').write_bytes(export_au(network, file.hash))
    with pytest.raises(MicroexprError, match=r'au.onnx was exported by an earlier version'):
        ActionUnitClassifier.load(path)


def test_an_export_has_no_network_to_give(folder, classifier):
    loaded = ActionUnitClassifier.load(folder / 'au.safetensors')
    assert (loaded.grid, loaded.slice_ns) == (classifier.grid, classifier.slice_ns)
    with pytest.raises(ValueError, match='from_weights'):
        _ = loaded.network
    with pytest.raises(ValueError, match='neither a network nor an export'):
        ActionUnitClassifier(None, classifier.presence)


def test_an_exported_reconstruction_has_no_network_to_give(folder, reconstructor):
    loaded = Reconstructor.load(folder / 'reconstruction.safetensors')
    assert loaded.configuration == reconstructor.configuration
    with pytest.raises(ValueError, match='from_weights'):
        _ = loaded.network
    with pytest.raises(ValueError, match='neither a network nor an export'):
        Reconstructor(None)
    runtime = load_export(folder / 'reconstruction.safetensors', loaded.model.split('@')[1])
    with pytest.raises(ValueError, match='needs its configuration'):
        Reconstructor(None, runtime=runtime)


def test_exported_reconstruction_is_the_network(exported, reconstructor):
    runtime = Runtime((exported / 'reconstruction.onnx').read_bytes())
    fast = Reconstructor(reconstructor.network, runtime=runtime)
    stream = slices(60)
    pairs = zip(images(reconstructor, stream), images(fast, stream), strict=True)
    for slow_image, fast_image in pairs:
        assert fast_image.dtype == np.uint8
        assert np.abs(fast_image.astype(int) - slow_image).max() <= 1
        assert np.ptp(slow_image) > 10


def test_load_runs_the_export_beside_the_weights(folder, classifier, monkeypatch):
    path = folder / 'au.safetensors'
    stream = slices(5)
    expected = [estimate.intensity for estimate, _ in estimates(classifier, stream)]
    monkeypatch.delattr(SpikingNetwork, 'step')
    loaded = ActionUnitClassifier.load(path)
    for (estimate, _), intensity in zip(estimates(loaded, stream), expected, strict=True):
        np.testing.assert_allclose(estimate.intensity, intensity, rtol=0, atol=1e-5)


def test_load_runs_the_exported_reconstruction(folder, reconstructor, monkeypatch):
    expected = list(images(reconstructor, slices(5)))
    monkeypatch.delattr(ConditionalVae, 'forward')
    loaded = Reconstructor.load(folder / 'reconstruction.safetensors')
    for image, wanted in zip(images(loaded, slices(5)), expected, strict=True):
        assert np.abs(image.astype(int) - wanted).max() <= 1


@pytest.mark.parametrize('kind', ['au', 'reconstruction'])
def test_export_names_its_weights_and_leaves_nothing_else(exported, kind):
    path = exported / f'{kind}.safetensors'
    runtime = load_export(path, weights.load(path, kind).hash)
    assert runtime is not None
    assert runtime.source == weights.load(path, kind).hash
    assert sorted(file.name for file in exported.iterdir()) == [
        'au.onnx',
        'au.safetensors',
        'reconstruction.onnx',
        'reconstruction.safetensors',
    ]


@pytest.mark.parametrize('kind', ['au', 'reconstruction'])
def test_export_does_not_know_where_it_was_made(exported, kind):
    content = (exported / f'{kind}.onnx').read_bytes()
    for part in (b'site-packages', b'.py', str(Path.home()).encode()):
        assert part not in content


@pytest.mark.parametrize('kind', ['au', 'reconstruction'])
def test_stale_export_is_refused(folder, classifier, reconstructor, kind):
    model = {'au': classifier, 'reconstruction': reconstructor}[kind]
    tensors = {name: tensor + 1 for name, tensor in model.network.state_dict().items()}
    path = folder / f'{kind}.safetensors'
    weights.save(path, kind, 'retrained', model.to_settings(), tensors)
    with pytest.raises(MicroexprError, match=rf'{kind}\.onnx was exported from other weights'):
        type(model).load(path)


@pytest.mark.parametrize('keep', [0, 100, -100])
def test_damaged_export_is_refused(folder, keep):
    export = folder / 'au.onnx'
    export.write_bytes(export.read_bytes()[:keep])
    with pytest.raises(MicroexprError, match=r'au\.onnx cannot be loaded.*delete it'):
        ActionUnitClassifier.load(folder / 'au.safetensors')


def test_without_an_export_the_network_itself_runs(folder, classifier, reconstructor):
    for export in folder.glob('*.onnx'):
        export.unlink()
    assert load_export(folder / 'au.safetensors', 'any') is None
    stream = slices(5)
    loaded = ActionUnitClassifier.load(folder / 'au.safetensors')
    pairs = zip(estimates(loaded, stream), estimates(classifier, stream), strict=True)
    for (estimate, _), (wanted, _) in pairs:
        np.testing.assert_array_equal(estimate.intensity, wanted.intensity)
    painter = Reconstructor.load(folder / 'reconstruction.safetensors')
    pairs = zip(images(painter, stream), images(reconstructor, stream), strict=True)
    for image, wanted in pairs:
        np.testing.assert_array_equal(image, wanted)
