"""Rewards by any ONNX file that gives a number for an image."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor

from adagen_rt.backends.onnxruntime.session import OnnxRuntime
from adagen_rt.condition import take_rows
from adagen_rt.engine.onnx_check import external_files
from adagen_rt.errors import AdagenError, InputError
from adagen_rt.training.policy.environment import Environment, Tensors
from adagen_rt.training.policy.reward import Reward

#: Texts that name such a reward begin so.
PREFIX = "onnx:"
#: Rows that a file is tried with; one that computes a number of the batch gives one number.
TRIED = 2


class OnnxReward(Reward):
    """The output of an ONNX graph, run by ONNX Runtime on the CPU.

    Its inputs are ``image`` (B, c, H, W) float32 in [0, 1], in steps of 1/255, and any of the
    arrays that make the condition, such as ``labels`` or a text encoder's ``NAME_ids``, or that
    the backbone is told, such as ``context`` and ``pooled``. Its one output has a number an
    image.

    Args:
        path: The file.
        environment: The generator.
        batch_size: Images that are scored together.

    Raises:
        InputError: The file cannot be read, or is no such graph.
    """

    def __init__(self, path: Path, environment: Environment, batch_size: int = 128) -> None:
        self.path, self.environment, self.batch_size = path, environment, batch_size
        try:
            for name in external_files(path):
                if PurePath(name).is_absolute() or ".." in PurePath(name).parts:
                    raise self._refusal(f"weights in {name!r}", "weights beside the file")
            model = onnx.load(path, load_external_data=False)
            self._session = OnnxRuntime(torch.get_num_threads()).load(path)
        except InputError:
            raise
        except Exception as error:  # protobuf's own errors, which differ between versions
            told = " ".join(str(error).split())
            raise self._refusal("no ONNX file", f"one ({told:.200})") from None
        stored = {tensor.name for tensor in model.graph.initializer}
        self.inputs = tuple(t.name for t in model.graph.input if t.name not in stored)
        if "image" not in self.inputs or len(model.graph.output) != 1:
            found = f"inputs {', '.join(self.inputs)} and {len(model.graph.output)} outputs"
            raise self._refusal(found, "an input 'image' and one output")
        self._try()

    @torch.no_grad()
    def score(
        self, images: Tensor, rows: Tensors, generator: torch.Generator | None = None
    ) -> Tensor:
        """Return the graph's numbers (B,)."""
        parts = torch.arange(len(images), device=images.device).split(self.batch_size)
        scores = [self._run(images[part], take_rows(rows, part)) for part in parts]
        return torch.cat(scores).reshape(-1).to(images.device)

    def _run(self, images: Tensor, rows: Tensors) -> Tensor:
        known = {"image": images, **rows}
        if not known.keys() >= set(self.inputs):
            known |= self.environment.told(rows)
        given = {name: known[name].cpu().numpy() for name in self.inputs}
        (output,) = self._session.run(given).values()
        return torch.from_numpy(np.array(output, np.float32))

    def _try(self) -> None:
        """Run it once, so that a file that does not fit is refused before the training."""
        manifest = self.environment.manifest
        rows = manifest.condition.inputs(manifest.condition.trial(TRIED))
        asked: Any = {name: torch.from_numpy(values) for name, values in rows.items()}
        image = torch.zeros(TRIED, manifest.image.channels, *manifest.image.size)
        known = ["image", *asked, *self.environment.told(asked)]
        if unknown := [name for name in self.inputs if name not in known]:
            raise self._refusal(f"the input {unknown[0]!r}", f"any of {', '.join(known)}")
        try:
            scores = self._run(image, asked)
        except AdagenError:
            raise
        except Exception as error:  # ONNX Runtime's own have no common base
            told = " ".join(str(error).split())
            expected = f"one that takes {TRIED} images of {manifest.image} ({told:.200})"
            raise self._refusal("a graph", expected) from None
        if scores.numel() != TRIED:
            raise self._refusal(f"an output {tuple(scores.shape)}", f"({TRIED},), one an image")

    def _refusal(self, got: str, expected: str) -> InputError:
        return InputError(f"reward: {self.path}", got, expected)
