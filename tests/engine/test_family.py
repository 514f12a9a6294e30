import pytest
from family_specs import FAMILIES, family_spec

from adagen_rt.engine import family
from adagen_rt.engine.family import BUILT_IN, Family, find_family
from adagen_rt.engine.manifest import Manifest
from adagen_rt.errors import MissingExtraError


@pytest.mark.parametrize("name", FAMILIES)
def test_each_family_is_found_by_its_name(name):
    found = find_family(name)
    assert isinstance(found, Family)
    assert find_family(name) is found
    assert family_spec(name).family == name
    assert family_spec(name).actions


def test_all_that_are_built_in_are_tested():
    assert set(FAMILIES) == set(BUILT_IN)


@pytest.mark.parametrize("name", ["gan", "", "Maskgit", "unet", "x" * 1000])
def test_an_unknown_name_lists_those_that_are_known(name):
    with pytest.raises(ValueError, match="expected one of maskgit, var, dit, sit") as caught:
        find_family(name)
    assert len(str(caught.value)) < 200


class Plugin:
    """An entry point of another package."""

    name = "plugged"

    def __init__(self, target):
        self.load = lambda: target


@pytest.fixture
def installed(monkeypatch):
    """Returns a function that puts a target under the entry point `plugged`."""

    def install(target):
        plugin = Plugin(target)
        monkeypatch.setattr(
            family.metadata,
            "entry_points",
            lambda *, group, name="plugged": [plugin] if name == "plugged" else [],
        )

    yield install
    find_family.cache_clear()


class OwnFamily(Family):
    Spec = find_family("maskgit").Spec

    def rule(self, spec, steps, ops, noise, sessions):
        raise NotImplementedError


def test_a_family_of_another_package_is_found_by_its_entry_point(installed):
    own = OwnFamily()
    installed(own)
    assert find_family("plugged") is own
    with pytest.raises(ValueError, match=r"var, dit, sit, diffusion, flow, plugged$"):
        find_family("gan")


def test_an_entry_point_may_lead_to_a_module(installed):
    module = type("Module", (), {"FAMILY": OwnFamily()})
    installed(module)
    assert find_family("plugged") is module.FAMILY


def test_what_a_family_does_not_have_says_so(installed):
    assert OwnFamily().program(None) is None
    with pytest.raises(MissingExtraError, match="OwnFamily"):
        OwnFamily().model()


def test_a_family_finds_itself_in_a_manifest(tiny_engine):
    manifest = Manifest.model_validate_json((tiny_engine / "manifest.json").read_text())
    assert manifest.plugin is find_family("maskgit")
