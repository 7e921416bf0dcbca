"""Networks exported to ONNX, run by onnxruntime in one call on one thread.

Torch releases and takes the interpreter's lock at every layer. In a process with other busy
threads each of these waits for the others, and a step of half a millisecond takes ten.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from microexpr_ros.errors import MicroexprError

SOURCE = 'source'
"""Metadata of an exported network: hash of the weights file that it was made from."""


class Runtime:
    """An exported network: arrays in, arrays out, in the order of its export.

    Args:
        model: serialized ONNX model.

    Attributes:
        shapes: of the inputs.
    """

    def __init__(self, model: bytes) -> None:
        options = onnxruntime.SessionOptions()
        # The networks are too small to gain from a second thread, which a robot needs elsewhere.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        # Memory is as fast without an arena of its own, which would keep 13 MB for four networks.
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            model, options, providers=['CPUExecutionProvider']
        )
        self._names = [value.name for value in self._session.get_inputs()]
        self.shapes = [tuple(value.shape) for value in self._session.get_inputs()]

    @property
    def source(self) -> str:
        """Hash of the weights that the network was exported from; empty if unknown."""
        return str(self._session.get_modelmeta().custom_metadata_map.get(SOURCE, ''))

    def __call__(self, *inputs: NDArray[np.generic]) -> list[NDArray[np.float32]]:
        """Run the network once."""
        feeds = dict(zip(self._names, inputs, strict=True))
        return list(self._session.run(None, feeds))


def load_export(weights: Path, source: str) -> Runtime | None:
    """Return the exported network that was written beside a weights file, None if there is none.

    Args:
        weights: the weights file.
        source: its hash.

    Raises:
        MicroexprError: the export is damaged, or was made from other weights.
    """
    path = weights.with_suffix('.onnx')
    if not path.is_file():
        return None
    try:
        runtime = Runtime(path.read_bytes())
    except Exception as error:
        raise MicroexprError(f'{path} cannot be loaded ({error}); delete it') from error
    if runtime.source != source:
        raise MicroexprError(
            f'{path} was exported from other weights than {weights.name}; delete it, or export '
            'the weights again'
        )
    return runtime
