from dataclasses import replace

import numpy as np
import pytest
import torch

from microexpr_ros.learning.data.clips import make_sparse
from microexpr_ros.learning.evaluation.false_alarms import calm_kinds, measure_false_alarms
from microexpr_ros.perception.classifier import ActionUnitClassifier
from microexpr_ros.perception.presence import Presence
from microexpr_ros.perception.spiking.configuration import SpikingConfiguration
from microexpr_ros.perception.spiking.network import SpikingNetwork

SMALL = SpikingConfiguration(pool=4, channels=(4, 4), kernels=(5, 3), strides=(4, 2),
                             tau_ms=(20.0, 30.0), integrators=8)  # fmt: skip


@pytest.mark.parametrize(
    ('distractors', 'kind'),
    [((), 'neutral'), (('talk',), 'talking'), (('blink', 'gaze'), 'blinking'),
     (('sway', 'turn'), 'head')],
)  # fmt: skip
def test_kinds_of_calm(make_clip, distractors, kind):
    assert calm_kinds(replace(make_clip(0), distractors=distractors)) == (kind,)


def test_false_alarms_of_a_network_that_always_sees_everything(make_clip):
    torch.manual_seed(0)
    eager = ActionUnitClassifier(SpikingNetwork(SMALL).deployed(), Presence.uncalibrated(0.001))
    talk, blink = (
        replace(make_clip(n, 50, 0), distractors=(n_,)) for n, n_ in ((0, 'talk'), (1, 'blink'))
    )
    # The lids of the second really close, so its detection of unit 45 is right.
    blink.sides[10:20, -1] = 1
    rates = measure_false_alarms(eager, [make_sparse(talk), make_sparse(blink)])
    assert rates['talking'].per_min.value == pytest.approx(2 / 0.5 * 60)
    assert rates['blinking'].per_min.value == pytest.approx(1 / 0.5 * 60)
    assert rates['talking'].minutes == pytest.approx(0.5 / 60)
    assert np.isnan(rates['head'].per_min.value)
    assert np.isnan(rates['neutral'].per_min.value)
