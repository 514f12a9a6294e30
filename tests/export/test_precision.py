"""Networks in half precision: inputs and outputs stay float32 and close."""

import pytest

torch = pytest.importorskip("torch")

from golden_data import deviation, seeded

from adagen_rt.families.diffusion.network import DiT, DiTConfig
from adagen_rt.families.maskgit.network import MaskGIT, MaskGITConfig
from adagen_rt.families.var.network import VAR, VARConfig

TOLERANCES = {torch.float16: 3e-2, torch.bfloat16: 2e-1}
LABELS = torch.tensor([1, 5])


def run_maskgit(model):
    return model(torch.full((2, 9), 16), LABELS)


def run_dit(model):
    latents = torch.linspace(-2, 2, 2 * 4 * 8 * 8).reshape(2, 4, 8, 8)
    return model(latents, torch.tensor([0.9, 0.3]), LABELS)


def run_var(model):
    cache = torch.linspace(-1, 1, 2 * 2 * 2 * 32).reshape(1, 2, 2, 2, 32)
    inputs = torch.linspace(-1, 1, 2 * 4 * 8).reshape(2, 4, 8)
    return model(inputs, torch.arange(1, 5), cache, *model.condition(LABELS))


CASES = {
    "maskgit": (lambda: MaskGIT(MaskGITConfig(32, 3, 4, 16, 9, 5)), run_maskgit),
    "dit": (lambda: DiT(DiTConfig(32, 2, 4, size=8, classes=5)), run_dit),
    "var": (lambda: VAR(VARConfig(32, 2, 4, (1, 2, 3), 16, 8, 5)), run_var),
}


@torch.no_grad()
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("family", CASES)
def test_half_precision_is_close(family, dtype):
    build, run = CASES[family]
    model = seeded(build(), f"precision/{family}")
    expected = run(model)
    for got, want in zip(run(model.to(dtype)), expected, strict=True):
        assert got.dtype == torch.float32
        assert deviation(got, want) < TOLERANCES[dtype]
