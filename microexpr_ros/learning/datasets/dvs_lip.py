"""DVS-Lip: speakers of single words, cut out around the mouth, from a DAVIS346.

Layout: `utils/dataset.py` of github.com/tgc1997/event-based-lip-reading, and `DVSLip` of
github.com/neuromorphs/tonic, which has 128 x 128 pixels and times in us.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Final

from microexpr_ros.events.files import open_recording
from microexpr_ros.facs import OPENING
from microexpr_ros.learning.datasets.labelled import (
    SPEECH,
    Dataset,
    LabelledRecording,
    LayoutError,
)

_SIZE: Final = (128, 128)


def _read(path: Path, split: str) -> list[LabelledRecording]:
    found = [
        LabelledRecording(
            f'{file.parent.name}/{file.stem}',
            # The numbers of the files count recordings of a word, not speakers.
            '',
            partial(open_recording, file, time_unit='us', sensor=_SIZE),
            SPEECH,
            OPENING,
        )
        for file in sorted((path / split).glob('*/*.npy'))
    ]
    if not found:
        raise LayoutError(f'there is no {split}/WORD/NUMBER.npy')
    return found


DVS_LIP: Final = Dataset(
    name='dvs-lip',
    title='DVS-Lip (Tan et al., Multi-Grained Spatio-Temporal Features Perceived Network for '
    'Event-Based Lip-Reading, CVPR 2022)',
    access='download DVS-Lip.zip from the Google Drive that '
    'https://github.com/tgc1997/event-based-lip-reading names, no form is needed',
    layout='train/WORD/NUMBER.npy and test/WORD/NUMBER.npy',
    labels='who says a word opens the mouth: unit 25 or 26; what else is found in speech is a '
    'false alarm',
    units=tuple(sorted(OPENING)),
    splits=('train', 'test'),
    protocol='the publishers, by speaker: 30 to train, 10 to test; files do not name speakers, so '
    'there are no intervals over persons',
    read=_read,
)
