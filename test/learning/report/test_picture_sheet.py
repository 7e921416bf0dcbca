from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from small_clips import make_clip

from microexpr_ros.errors import MicroexprError
from microexpr_ros.learning.data.clips import make_sparse
from microexpr_ros.learning.report.picture_sheet import write_sheet
from microexpr_ros.perception.reconstruction.configuration import ReconstructionConfiguration
from microexpr_ros.perception.reconstruction.network import ConditionalVae
from microexpr_ros.perception.reconstruction.reconstructor import Reconstructor


@pytest.fixture(scope='module')
def reconstructor():
    torch.manual_seed(0)
    network = ConditionalVae(ReconstructionConfiguration(fine=4, width=4, latent=2))
    return Reconstructor(network.eval().deployed())


def test_each_person_in_the_wanted_light_has_a_row(reconstructor, tmp_path):
    clips = [
        make_sparse(replace(make_clip(n, code=4), identity=n // 2, light='dim', sensor='davis346'))
        for n in range(4)
    ]
    path = tmp_path / 'sheet.png'
    write_sheet(path, reconstructor, [*clips, make_sparse(make_clip(7))])
    sheet = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    assert sheet.shape == (2 * 260 - 4, 4 * 260 - 4)
    # The last column shows what truly was to be seen.
    shown = cv2.resize(sheet[:256, -256:], (128, 128), interpolation=cv2.INTER_AREA).astype(int)
    targets = [target for sparse in clips for target in sparse.clip.target]
    assert min(np.abs(shown - target).mean() for target in targets) < 1
    write_sheet(path, reconstructor, clips, rows=1)
    assert cv2.imread(str(path), cv2.IMREAD_GRAYSCALE).shape[0] == 256


def test_without_such_clips_there_is_no_sheet(reconstructor, tmp_path):
    with pytest.raises(MicroexprError, match='dim light by a davis346'):
        write_sheet(tmp_path / 'sheet.png', reconstructor, [make_sparse(make_clip(0))])
