"""Small files in the layouts of published data sets of real faces, with events of no face."""

import json

import numpy as np

from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.writers import make_writer

WIDTH, HEIGHT = 128, 128
SECONDS = 2.2
"""As long as the units of `counting_network` move."""

REGION = '0,0,128,128'


def make_events(seconds=SECONDS):
    """Return an event per ms, anywhere."""
    rng = np.random.default_rng(0)
    count = round(seconds * 1000)
    return Events(
        np.arange(count) * 1_000_000,
        rng.integers(WIDTH, size=count).astype(np.uint16),
        rng.integers(HEIGHT, size=count).astype(np.uint16),
        rng.integers(2, size=count).astype(np.uint8),
    )


def write_raw(path):
    """Write a recording as a Prophesee .raw."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with make_writer('raw', path, HEIGHT, WIDTH) as writer:
        writer.write(make_events(), Triggers.empty())


def write_nefer(
    root, test=(('user_03', 'Happiness'), ('user_07', 'Sadness'), ('user_17', 'None'))
):
    """Write three recordings to test and one to train, with a line per frame."""
    labels = root / 'annotations' / 'reported_emotions'
    labels.mkdir(parents=True)
    splits = {'train': (('user_01', 'Fear'),), 'validation': test}
    for split, recordings in splits.items():
        lines = []
        for user, emotion in recordings:
            name = f'{user.replace("_", "")}_2022-06-08_12-20-03_cd'
            lines += [
                f'{user},{name},../event_frame_NEW/{user}/{name}/frame_{frame:02}.png,{emotion}\n'
                for frame in range(3)
            ]
            write_raw(root / 'event_raw' / user / f'{name}.raw')
        (labels / f'{split}_event_subjective.csv').write_text(''.join(lines))


def write_facemorphic(root):
    """Write five users, of whom the last in falling order, u1, is to be tested."""
    for user in ('u1', 'u2', 'u3', 'u4', 'u5'):
        for action in ('AU_12', 'AU_4', 'AU_27', 'AU_53', 'AU_READING', 'AU_FREE'):
            write_raw(root / 'recordings' / user / action / 'event_1.raw')
    folder = root / 'recordings' / 'u1' / 'AU_12'
    (folder / 'frames_1').mkdir()
    for frame in range(60):
        clock = f'10:59:{57 + frame // 30}.{frame % 30 * 33_333:06}'
        (folder / 'frames_1' / f'frame_{frame}_{clock}.jpg').write_bytes(b'')
    (folder / 'event_frames_1').mkdir()
    (folder / 'event_frames_1' / 'annotation.json').write_text(json.dumps({'start': 6, 'end': 24}))


def write_dvs_lip(root):
    """Write two words to test, as arrays with fields and times in us."""
    events = make_events()
    kind = np.dtype([('t', '<i8'), ('x', '<i2'), ('y', '<i2'), ('p', '?')])
    table = np.zeros(len(events), kind)
    table['t'], table['x'], table['y'], table['p'] = events.t // 1000, events.x, events.y, events.p
    for word in ('action', 'house'):
        (root / 'test' / word).mkdir(parents=True)
        np.save(root / 'test' / word / '0.npy', table)


def write_fes(root):
    """Write a recording with XML of CVAT, box and points apart, and one with an array."""
    write_raw(root / 'raw' / 'lab' / '20210923_0_7.raw')
    write_raw(root / 'raw' / 'wild' / '03_11.raw')
    boxes = ''.join(
        f'<box frame="{frame}" outside="{int(frame == 20)}" xtl="20" ytl="30" xbr="100" '
        'ybr="110"/>'
        for frame in range(0, 30, 10)
    )
    points = ''.join(
        f'<points frame="{frame}" outside="0" points="40,50;80,50;60,70;45,90;75,90"/>'
        for frame in range(0, 30, 10)
    )
    for folder, shapes in (('bbox', boxes), ('fl', points)):
        file = root / folder / '20210923_0' / 'xml' / '20210923_0_7.xml'
        file.parent.mkdir(parents=True)
        file.write_text(f'<annotations><track id="0" label="face">{shapes}</track></annotations>')
    fields = ['x', 'y', 'w', 'h', *(f'{axis}{k}' for k in range(5) for axis in 'xy')]
    table = np.zeros(1, np.dtype([('t', '<i8'), *((name, '<f4') for name in fields)]))
    table['t'], table['w'], table['h'] = 500_000, 40, 40
    for number in range(5):
        table[f'x{number}'] = table[f'y{number}'] = 20 + number
    (root / 'npy').mkdir()
    np.save(root / 'npy' / '03_11_bbox.npy', table)
