"""The source distribution has all that a build and a first image need."""

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest
from PIL import Image
from process import run_python

from adagen_rt.native import load_kernels

ROOT = Path(__file__).parents[1]
PACKAGE = ("py", "pyi", "html", "safetensors")
BUILD = "import sys, scikit_build_core.build as b; print(b.build_{}(sys.argv[1]))"
GENERATE = "from adagen_rt.cli import main; main()"
ARGUMENTS = ("generate", "--engine", "fashion-maskgit", "--count", "4", "--out", "four.png")


def build(kind, source, folder):
    """Have the build backend make an sdist or a wheel, as pip does, and return its path."""
    pytest.importorskip("scikit_build_core", reason="needs what builds the package")
    pytest.importorskip("nanobind", reason="needs what builds the package")
    command = [sys.executable, "-c", BUILD.format(kind), str(folder)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    return build("sdist", ROOT, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def files(sdist):
    """Names in the archive, without its top folder."""
    with tarfile.open(sdist) as content:
        return {name.partition("/")[2] for name in content.getnames()}


@pytest.mark.parametrize(
    "pattern",
    ["engines/fashion-*/*", "engines/emoji-*/*", "export/*.yaml", "cpp_ext/**/*"]
    + [f"adagen_rt/**/*.{suffix}" for suffix in PACKAGE],
)
def test_it_has_every_file(files, pattern):
    expected = {str(path.relative_to(ROOT)) for path in ROOT.glob(pattern) if path.is_file()}
    assert {name for name in expected if "__pycache__" not in name} <= files


def test_it_has_what_builds_it(files):
    assert {"pyproject.toml", "CMakeLists.txt", "LICENSE", "README.md"} <= files


def test_it_has_all_engines_and_no_plans(files):
    assert sum(name.endswith("/manifest.json") for name in files) == 5
    assert not [name for name in files if "/plans/" in name or name.endswith(".so")]


@pytest.fixture
def source(sdist, tmp_path):
    """The unpacked archive."""
    with tarfile.open(sdist) as content:
        content.extractall(tmp_path / "source", filter="data")
    (top,) = (tmp_path / "source").iterdir()
    return top


def check_generating(package_root, folder):
    """Generate in a folder of its own with the package in ``package_root``."""
    environment = os.environ | {"PYTHONPATH": str(package_root)}
    done = run_python(GENERATE, *ARGUMENTS, cwd=folder, env=environment)
    assert done.returncode == 0, done.stderr
    with Image.open(folder / "four.png") as picture:
        assert picture.size == (64, 64)


def test_its_files_generate(source, tmp_path):
    """All but the compiled kernels is from the archive."""
    shutil.copy(load_kernels().__file__, source / "adagen_rt")
    check_generating(source, tmp_path)


@pytest.mark.slow
def test_its_wheel_generates(source, tmp_path):
    wheels, site = tmp_path / "wheels", tmp_path / "site"
    wheels.mkdir()
    with ZipFile(build("wheel", source, wheels)) as content:
        content.extractall(site)
    check_generating(site, tmp_path)
