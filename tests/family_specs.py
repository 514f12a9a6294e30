"""The section `family` of a manifest, as small as it may be, for each family."""

from adagen_rt.engine.family import find_family

_LATENTS = {"channels": 4, "size": 8, "tokens": 16, "width": 8}
_SIZES = {
    "maskgit": {"tokens": 9, "vocabulary": 5},
    "var": {
        "scales": (1, 2, 3),
        "vocabulary": 6,
        "code_width": 2,
        "layers": 2,
        "width": 4,
        "phi": (0, 1, 1),
    },
    "dit": _LATENTS,
    "sit": _LATENTS,
    "diffusion": _LATENTS,
    "flow": _LATENTS,
}
FAMILIES = tuple(_SIZES)


def family_spec(name, **changes):
    """Sizes of a family; `changes` replace some."""
    content = {"family": name, **_SIZES[name], **changes}
    return find_family(name).Spec.model_validate(content)
