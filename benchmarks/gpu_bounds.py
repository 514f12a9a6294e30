"""The least time that a GPU can take for the backbones of the published sizes, in bfloat16.

The bound of an evaluation is what its arithmetic takes at a rate that large matrix products
reach, or what reading the weights takes at a rate that large copies reach, whichever is longer;
activations are left out. The floor is thought to be realistic at batch 1, on an H200.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Shares of the data sheet's figures that matrix products and copies reach.
COMPUTE, MEMORY = 0.8, 0.9


@dataclass(frozen=True)
class Gpu:
    """A data sheet.

    Attributes:
        name: Part of the device's name.
        tflops: Dense bfloat16, TFLOP/s.
        terabytes: Memory bandwidth, TB/s.
    """

    name: str
    tflops: float
    terabytes: float


@dataclass(frozen=True)
class Work:
    """A whole image's backbone evaluations.

    Attributes:
        tflop: Arithmetic of one image, conditional and null rows.
        gigabytes: Weights that every evaluation reads, whatever the batch.
        floor: Realistic milliseconds at batch 1 on an H200.
        tokens: Of each evaluation; the arithmetic is taken to be in proportion.
    """

    tflop: float
    gigabytes: float
    floor: float
    tokens: tuple[int, ...] = (1,) * 16

    def bound(self, gpu: Gpu, batch: int) -> float:
        """The least milliseconds."""
        arithmetic = 1e3 * self.tflop * batch / (COMPUTE * gpu.tflops) / sum(self.tokens)
        reading = self.gigabytes / (MEMORY * gpu.terabytes)
        return sum(max(arithmetic * tokens, reading) for tokens in self.tokens)


H200 = Gpu("H200", 989, 4.8)
#: The first whose name fits is taken.
GPUS = (H200, Gpu("H100 PCIe", 756, 2.0), Gpu("H100 NVL", 835, 3.9), Gpu("H100", 989, 3.35))
VAR_TOKENS = tuple(side * side for side in (1, 2, 3, 4, 5, 6, 8, 10, 13, 16))
#: 16 evaluations of MaskGIT, DiT and SiT; VAR's modulation weights are read once and left out.
WORK = {
    "maskgit-l": Work(3.33, 0.35, 8.5),
    "dit-xl-2": Work(7.59, 1.35, 20),
    "sit-xl-2": Work(7.59, 1.35, 20),
    "var-d16": Work(0.60, 0.41, 2.4, VAR_TOKENS),
    "var-d30": Work(3.79, 2.67, 13.8, VAR_TOKENS),
}


def find_gpu(name: str) -> Gpu | None:
    """The data sheet of a device, if it is one of the known."""
    return next((gpu for gpu in GPUS if gpu.name in name), None)


def describe_bound(model: str, batch: int, gpu: Gpu | None) -> str:
    """The bound in words and, for a batch of 1, the floor, which scales as the bound does."""
    if gpu is None:
        return "no bound for this GPU"
    work = WORK[model]
    least = work.bound(gpu, batch)
    text = f"{gpu.name}: bound {least:.1f} ms"
    if batch > 1:
        return text
    return f"{text}, realistic floor {work.floor * least / work.bound(H200, 1):.1f} ms"
