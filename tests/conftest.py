"""Fixtures that several folders of tests share."""

import shutil
import sys
from functools import cache
from importlib.util import find_spec

import fake_tensorrt
import pytest
from click.testing import CliRunner
from tiny_engine import Options, build_tiny_engine

import adagen_rt
from adagen_rt.backends.tensorrt.modules import MODULES
from adagen_rt.cli import main


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Keep the user's cache out of the tests, and the tests out of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ADAGEN_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def traced_once(tmp_path_factory):
    """Trace equal graphs once, where there is PyTorch."""
    if find_spec("torch") is None:
        yield
        return
    from traces import trace_once

    with pytest.MonkeyPatch.context() as patch:
        trace_once(patch, tmp_path_factory)
        yield


@pytest.fixture(scope="session")
def tiny_engine(tmp_path_factory):
    """An engine folder that tests must not change."""
    return build_tiny_engine(tmp_path_factory.mktemp("engines") / "tiny")


@pytest.fixture(scope="session")
def static_engine(tmp_path_factory):
    """The same networks without a policy."""
    folder = tmp_path_factory.mktemp("engines") / "static"
    return build_tiny_engine(folder, Options(policy=False))


@pytest.fixture(scope="session")
def judged_engine(tmp_path_factory):
    """The same networks with a critic, a fidelity policy and a reward model."""
    folder = tmp_path_factory.mktemp("engines") / "judged"
    return build_tiny_engine(folder, Options(judges=True))


@pytest.fixture(scope="session")
def prompt_engine(tmp_path_factory):
    """Give `engine(guidance="classifier-free", judges=False)`, which takes prompts."""
    pytest.importorskip("tokenizers")
    from tiny_prompts import PromptOptions, build_prompt_engine

    @cache
    def engine(guidance="classifier-free", judges=False):
        folder = tmp_path_factory.mktemp("engines") / "prompts"
        return build_prompt_engine(folder, PromptOptions(guidance, judges))

    return engine


@pytest.fixture(scope="session")
def judged_pipeline(judged_engine):
    """Its pipeline, with one thread; what tests change in it they put back."""
    return adagen_rt.load(judged_engine, threads=1)


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """Give `engine(family, judged=False, dtype="float32")`, which tests must not change.

    It is exported from PyTorch once in a run, with the networks `tiny_networks` of the recipe
    `tiny_recipe`, or `judged_recipe`.
    """
    pytest.importorskip("torch")
    from once import engine_once
    from tiny_recipes import judged_recipe, tiny_recipe

    from adagen_rt.export import export_engine

    @cache
    def engine(family, judged=False, dtype="float32"):
        recipe = (judged_recipe if judged else tiny_recipe)(family)

        def export(out):
            export_engine(recipe, out, seeded="tiny", dtype=dtype)

        return engine_once(tmp_path_factory, f"tiny-{family}{'-judged' * judged}-{dtype}", export)

    return engine


@pytest.fixture
def own_engine(tiny_engine, tmp_path):
    """A copy of the tiny engine that the test may damage."""
    return shutil.copytree(tiny_engine, tmp_path / "engine")


@pytest.fixture
def stand_in(monkeypatch):
    """Returns a function that puts a stand-in in the place of a TensorRT backend's module."""
    versions = {"tensorrt": "11.4.0", "tensorrt-rtx": "1.7.1"}

    def install(backend, version=None):
        module = fake_tensorrt.make_module(version or versions[backend])
        monkeypatch.setitem(sys.modules, MODULES[backend].module, module)
        return module

    return install


@pytest.fixture(scope="session")
def run():
    """Returns a function from arguments to click's result."""

    def invoke(*arguments):
        return CliRunner().invoke(main, [str(argument) for argument in arguments])

    return invoke


@pytest.fixture
def refuse(run):
    """Returns a function that expects one line on stderr and status 2, and returns the line."""

    def invoke(*arguments):
        done = run(*arguments)
        assert done.exit_code == 2, done.output
        assert done.stdout == ""
        assert done.stderr.startswith("Error: ")
        assert done.stderr.count("\n") == 1
        return done.stderr

    return invoke
