"""Fixtures that several folders of tests share."""

import shutil

import pytest
from tiny_engine import Options, build_tiny_engine


@pytest.fixture(scope="session")
def tiny_engine(tmp_path_factory):
    """An engine folder that tests must not change."""
    return build_tiny_engine(tmp_path_factory.mktemp("engines") / "tiny")


@pytest.fixture(scope="session")
def static_engine(tmp_path_factory):
    """The same networks without a policy."""
    folder = tmp_path_factory.mktemp("engines") / "static"
    return build_tiny_engine(folder, Options(policy=False))


@pytest.fixture
def own_engine(tiny_engine, tmp_path):
    """A copy of the tiny engine that the test may damage."""
    return shutil.copytree(tiny_engine, tmp_path / "engine")
