"""Which compiled kernels are used: in a checkout, those of the installed build."""

import platform
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from adagen_rt.native import load_kernels

PACKAGE = Path(sys.modules["adagen_rt"].__file__).parent
GENERATE = """
import adagen_rt
print(adagen_rt.load({engine!r}, threads=1).generate([0], [1]).images.shape, adagen_rt.__file__)
"""


@pytest.fixture
def checkout(tmp_path):
    """The sources alone, as they lie in a checkout."""
    folder = tmp_path / "src"
    ignored = shutil.ignore_patterns("_kernels.*so", "__pycache__", "engines")
    shutil.copytree(PACKAGE, folder / "adagen_rt", ignore=ignored)
    (folder / "pyproject.toml").touch()
    return folder


@pytest.fixture
def site(tmp_path):
    """A build that is installed: what `pip install .` leaves."""
    folder = tmp_path / "site"
    package, record = folder / "adagen_rt", folder / "adagen_rt-0.1.0.dist-info"
    package.mkdir(parents=True)
    record.mkdir()
    shutil.copy(load_kernels().__file__, package)
    (package / "__init__.py").touch()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: adagen-rt\nVersion: 0.1.0\n")
    (record / "RECORD").write_text("adagen_rt/__init__.py,,\n")
    return folder


def run(checkout, site, *arguments):
    # Isolated from PYTHONPATH, so that no other build is found; third parties come last.
    others = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    paths = [str(checkout), *([str(site)] if site else []), *others]
    code = f"import sys; sys.path[:0] = {paths!r}; " + arguments[0]
    command = [sys.executable, "-I", "-S", "-c", code, *arguments[1:]]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=checkout, timeout=120, check=False
    )


def test_a_checkout_uses_the_kernels_of_the_installed_build(checkout, site, tiny_engine):
    done = run(checkout, site, f"exec({GENERATE.format(engine=str(tiny_engine))!r})")
    assert done.stdout.startswith("(1, 4, 4, 1)"), done.stderr
    assert str(checkout) in done.stdout


def test_doctor_agrees(checkout, site):
    doctor = (
        "sys.argv[0] = 'adagen-rt'; import runpy; runpy.run_module('adagen_rt', alter_sys=True)"
    )
    done = run(checkout, site, doctor, "doctor")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"kernels +built", done.stdout)


def test_without_a_build_one_line_says_what_to_type(checkout, tiny_engine):
    done = run(checkout, None, f"exec({GENERATE.format(engine=str(tiny_engine))!r})")
    if "(1, 4, 4, 1)" in done.stdout:
        pytest.skip("a build is installed beside the other packages")
    last = done.stderr.splitlines()[-1]
    assert last.endswith(f"no installed build has; type: pip install {checkout}")
    assert "KernelsError" in last


def test_kernels_of_other_sources_are_refused(checkout, site, tiny_engine):
    structs = checkout / "adagen_rt" / "ops" / "structs.py"
    structs.write_text(structs.read_text().replace("masked remaining", "masked remaining more"))
    done = run(checkout, site, f"exec({GENERATE.format(engine=str(tiny_engine))!r})")
    last = done.stderr.splitlines()[-1]
    assert "was built from other sources (remask differs); type: pip install" in last


def test_shipped_engines_are_those_of_the_installed_build(checkout, site, tiny_engine):
    shutil.copytree(tiny_engine, site / "adagen_rt" / "engines" / "tiny")
    done = run(checkout, site, f"exec({GENERATE.format(engine='tiny')!r})")
    assert done.stdout.startswith("(1, 4, 4, 1)"), done.stderr


@pytest.mark.skipif(
    (sys.platform, platform.machine(), platform.libc_ver()[0]) != ("linux", "x86_64", "glibc"),
    reason="needs indirect functions of glibc on x86-64",
)
def test_copies_for_newer_processors_are_in_the_build():
    """A compiler that knows no `target_clones` of levels leaves them out without a word."""
    drivers = sum(
        path.read_text().count("ADAGEN_CLONES ")
        for path in (Path(__file__).parents[1] / "cpp_ext").glob("*.cpp")
    )
    assert drivers >= 4
    assert choices(Path(load_kernels().__file__).read_bytes()) >= drivers


def choices(library):
    """Count the functions of an ELF library that it chooses among when it is loaded."""
    irelative, rela, entry = 37, 4, struct.Struct("<QQq")
    (table,) = struct.unpack_from("<Q", library, 40)
    size, count = struct.unpack_from("<HH", library, 58)
    found = 0
    for number in range(count):
        kind = struct.unpack_from("<I", library, table + size * number + 4)[0]
        begin, length = struct.unpack_from("<QQ", library, table + size * number + 24)
        if kind == rela:
            rows = entry.iter_unpack(library[begin : begin + length])
            found += sum(info & 0xFFFFFFFF == irelative for _, info, _ in rows)
    return found
