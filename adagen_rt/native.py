"""The compiled kernels: those beside this package, else those of the installed build.

In a checkout after ``pip install .`` the sources hide the installed package, which has the
kernels.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import ModuleType

from adagen_rt.errors import KernelsError
from adagen_rt.system import installed_package

NAME = "adagen_rt._kernels"
_HERE = Path(__file__).resolve().parent


def load_kernels() -> ModuleType:
    """Import ``adagen_rt._kernels``, wherever it is.

    Raises:
        KernelsError: There are none, or they cannot be loaded.
    """
    try:
        return importlib.import_module(NAME)
    except ModuleNotFoundError:
        path = _installed()
    except ImportError as error:  # they are here, and another system's
        raise KernelsError(f"the kernels cannot be loaded ({error})") from None
    if path is None:
        raise KernelsError(f"{_HERE} has no compiled kernels, and no installed build has")
    try:
        return _load(path)
    except ImportError as error:
        raise KernelsError(f"the kernels cannot be loaded ({error})") from None


def _installed() -> Path | None:
    """The kernels of the installed build."""
    folder = installed_package()
    if folder is None or folder == _HERE:
        return None
    paths = (folder / f"_kernels{suffix}" for suffix in EXTENSION_SUFFIXES)
    return next((path for path in paths if path.is_file()), None)


def _load(path: Path) -> ModuleType:
    """Import an extension module from a file, under the name that it would have here."""
    spec = importlib.util.spec_from_file_location(NAME, path)
    assert spec is not None  # the suffix is an extension module's
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules[NAME] = module
    vars(sys.modules["adagen_rt"])["_kernels"] = module
    return module
