from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from small_clips import make_clip

from microexpr_ros.errors import MicroexprError
from microexpr_ros.learning.data.clips import make_sparse
from microexpr_ros.learning.evaluation.story_pictures import ALONE, FRAME, StoryPicture
from microexpr_ros.learning.report.picture_sheet import StorySheet, write_sheet
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


def test_stories_show_frames_and_what_was_painted(tmp_path):
    def picture(level, given=False):
        made = {ALONE: np.full((128, 128), level + 2, np.uint8)}
        if not given:
            made[FRAME] = np.full((128, 128), level + 1, np.uint8)
        return StoryPicture(np.full((128, 128), level, np.uint8), made, None)

    sheet = StorySheet(stories=1, columns=3)
    with pytest.raises(MicroexprError, match='no story has frames'):
        sheet.write(tmp_path / 'sheet.png')
    sheet.add([])
    sheet.add([picture(10), picture(90, given=True), picture(50), picture(100)])
    sheet.add([picture(200)] * 3)
    sheet.write(tmp_path / 'sheet.png')
    shown = cv2.imread(str(tmp_path / 'sheet.png'), cv2.IMREAD_GRAYSCALE)
    assert shown.shape == (3 * 260 - 4, 3 * 260 - 4)
    assert shown[128::260, 128::260].tolist() == [[10, 50, 100], [11, 51, 101], [12, 52, 102]]
