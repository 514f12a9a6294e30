"""Archives of npm packages, fetched by `npm`, which knows registries and proxies."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from collections.abc import Collection, Mapping
from pathlib import Path

from adagen_rt.errors import InputError

#: Folder that every archive has its files in.
ROOT = "package/"


def archive_name(name: str, version: str) -> str:
    """Name a package's archive as `npm pack` does."""
    return f"{name.removeprefix('@').replace('/', '-')}-{version}.tgz"


def fetch(folder: Path, versions: Mapping[str, str], option: str) -> None:
    """Fetch the archives that a folder lacks.

    Args:
        folder: Where the archives are.
        versions: Versions of the packages, by name.
        option: The option that names a folder in npm's stead.

    Raises:
        InputError: There is no `npm`, or it could not fetch them.
    """
    lacking = [(n, v) for n, v in versions.items() if not (folder / archive_name(n, v)).is_file()]
    if not lacking:
        return
    wanted = [f"{name}@{version}" for name, version in lacking]
    npm, command = shutil.which("npm"), f"npm pack {' '.join(wanted)}"
    if npm is None:
        expected = f"npm, or a folder given by {option} in which somebody typed: {command}"
        raise InputError("npm", "not installed", expected)
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [npm, "pack", "--silent", *wanted], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise InputError("npm", said[-1] if said else "a failure", f"success of: {command}")


def read_archive(path: Path, files: Collection[str]) -> dict[str, bytes]:
    """Read files of an archive, named as in the package; those that it lacks are left out.

    Raises:
        OSError: The archive cannot be read; so for EOFError and `tarfile.TarError`.
    """
    found: dict[str, bytes] = {}
    # A compressed archive is read once, from the start; nothing is unpacked to disk.
    with tarfile.open(path, "r:gz") as archive:
        for member in archive:
            name = member.name.removeprefix(ROOT)
            wanted = member.name.startswith(ROOT) and name in files
            reader = archive.extractfile(member) if wanted else None
            if reader:
                found[name] = reader.read()
    return found
