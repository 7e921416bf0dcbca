"""Networks run by torch: the reference that every other runtime is measured against."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Inference(Protocol):
    """A deployed network as a module of tensors in and tensors out."""

    def inputs(self) -> tuple[Tensor, ...]:
        """Return inputs of the right shapes."""

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Run the network once."""


class TorchRuntime:
    """A network that torch runs: arrays in, arrays out, like `runtime.Runtime`.

    Args:
        inference: `SpikingInference` or `ReconstructionInference` of a deployed network.

    Attributes:
        shapes: of the inputs.
    """

    def __init__(self, inference: Inference) -> None:
        self._inference = inference
        self.shapes = [tuple(tensor.shape) for tensor in inference.inputs()]

    @torch.inference_mode()
    def __call__(self, *inputs: NDArray[np.generic]) -> list[NDArray[np.float32]]:
        """Run the network once."""
        # Copied, as messages give arrays that must not be written to.
        return [output.numpy() for output in self._inference(*map(torch.tensor, inputs))]
