"""What is warmed up is all that a stream needs: no kernel is compiled in the middle of it."""

import subprocess
import textwrap

import face_bags

from microexpr_ros.child import python

PROGRAM = """
    import gc
    import numpy as np
    from numba.core.dispatcher import Dispatcher
    from microexpr_ros import analyze
    from microexpr_ros.events import codecs
    from microexpr_ros.perception import ActionUnitClassifier
    from microexpr_ros.perception.faces import EventFaceTracker, FaceInference

    codecs.compile_kernels()
    inference = FaceInference.load()
    inference.warm_up()
    ActionUnitClassifier.load().warm_up()

    def kernels():
        return {one.py_func.__qualname__: len(one.signatures)
                for one in gc.get_objects() if isinstance(one, Dispatcher)}

    before = kernels()
    analysis = analyze(sys.argv[1], face_source='events')
    # A lamp that flickers over the whole sensor.
    tracker = EventFaceTracker(480, 640, inference)
    for _ in range(30):
        tracker.update(np.full((2, *tracker.shape), 50, np.uint8), 0.01)
    later = {name for name, count in kernels().items() if count != before.get(name, 0)}
    # Files are checked by it; live streams are not.
    print('compiled later:', sorted(later - {'find_step_back'}))
    print('faces:', int((analysis.face >= 0).sum()))
"""


def test_no_kernel_is_compiled_in_the_middle_of_a_stream(tmp_path):
    bag = tmp_path / 'bag'
    face_bags.write_face_bag(bag, 3.0)
    command = [*python(textwrap.dedent(PROGRAM)), str(bag)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert 'compiled later: []' in done.stdout
    faces = int(done.stdout.split('faces: ')[1])
    assert faces > 100
