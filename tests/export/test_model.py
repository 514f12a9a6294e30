"""A family's PyTorch half, the package's own and one from outside."""

import pytest

torch = pytest.importorskip("torch")

from types import SimpleNamespace
from typing import ClassVar, Literal

from tiny_recipes import FAMILIES, tiny_networks, tiny_recipe

from adagen_rt.engine import family as registry
from adagen_rt.errors import InputError
from adagen_rt.export import export_engine
from adagen_rt.export.description import describe_model
from adagen_rt.export.model import FamilyModel
from adagen_rt.export.recipe import Recipe
from adagen_rt.families.maskgit import MaskGITFamily
from adagen_rt.families.maskgit.model import MaskGITModel
from adagen_rt.families.maskgit.spec import MaskGITSpec


@torch.no_grad()
@pytest.mark.parametrize("family", FAMILIES)
def test_functions_take_and_give_what_the_contracts_say(family):
    recipe = tiny_recipe(family)
    networks, manifest = tiny_networks(recipe), describe_model(recipe)
    functions = recipe.model.functions(networks.backbone, networks.decoder)
    examples = recipe.model.examples(recipe, functions)
    assert functions.keys() == examples.keys() == manifest.family.own_contracts().keys()
    contracts = manifest.family.contracts(manifest.condition)
    for name, function in functions.items():
        inputs = examples[name].inputs
        assert inputs.keys() == set(contracts[name].inputs)
        named = function(**inputs)
        placed = function(*(inputs[key] for key in contracts[name].inputs))
        for one, other in zip(as_tuple(named), as_tuple(placed), strict=True):
            torch.testing.assert_close(one, other, equal_nan=True)
        assert len(as_tuple(named)) == len(contracts[name].outputs)


def as_tuple(outputs):
    return outputs if isinstance(outputs, tuple) else (outputs,)


class ToySpec(MaskGITSpec):
    """MaskGIT by another name."""

    family: Literal["toy"] = "toy"


class ToyModel(MaskGITModel):
    """With networks that take their time to train."""

    task = FamilyModel.task

    def describe(self, recipe):
        """See `FamilyModel`."""
        return ToySpec(**super().describe(recipe).model_dump(exclude={"family"}))


class ToyFamily(MaskGITFamily):
    """From outside of the package."""

    Spec: ClassVar = ToySpec

    def model(self):
        """See `Family`."""
        return ToyModel()


@pytest.fixture
def toy(monkeypatch):
    """A recipe of a family that an entry point leads to."""
    entry = SimpleNamespace(name="toy", load=ToyFamily)
    others = registry.metadata.entry_points

    def entry_points(**asked):
        return [entry] if asked == {"group": registry.GROUP, "name": "toy"} else others(**asked)

    monkeypatch.setattr(registry.metadata, "entry_points", entry_points)
    registry.find_family.cache_clear()
    content = tiny_recipe("maskgit").model_dump() | {"family": "toy", "name": "toy"}
    yield Recipe.model_validate(content)
    registry.find_family.cache_clear()


def test_a_family_from_outside_is_exported(toy, tmp_path):
    engine = export_engine(toy, tmp_path / "engine", seeded="tiny")
    assert engine.manifest.family.family == "toy"
    assert list(engine.manifest.graphs) == ["policy", "decoder", "backbone"]


def test_a_family_without_a_training_task_says_so(toy):
    with pytest.raises(InputError, match=r"ToyModel.*how its backbone is trained"):
        toy.model.task(None, None, None, None, 0)
