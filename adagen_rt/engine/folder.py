"""The engine folder: find it, check it before anything is loaded, write it whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import ValidationError

from adagen_rt.engine.manifest import FORMAT, Manifest
from adagen_rt.engine.onnx_check import check_graph
from adagen_rt.engine.validation import describe_faults
from adagen_rt.errors import EngineError, InputError
from adagen_rt.extent import Extent
from adagen_rt.files import staged_folder
from adagen_rt.system import installed_package

MANIFEST = "manifest.json"
#: The recipe that a training writes beside its weights, for an engine to be made of them.
RECIPE_FILE = "recipe.yaml"
#: Largest manifest in bytes; a real one names a few graphs and is far smaller.
MAX_MANIFEST_BYTES = 1 << 20


Stamp = tuple[int, ...]


@dataclass(frozen=True)
class EngineFolder:
    """An engine folder whose manifest and files have been checked.

    Attributes:
        path: The folder.
        manifest: What it says of itself.
        hash: SHA-256 of the manifest's file, which has the hashes of all other files.
        stamps: What the system said of every file before its hash was checked.
    """

    path: Path
    manifest: Manifest
    hash: str
    stamps: Mapping[str, Stamp] = field(default_factory=dict)

    def graph_file(self, name: str) -> Path:
        """Return the path of the ONNX file of graph ``name``."""
        return self.path / self.manifest.graphs[name].file

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of each file by name."""
        return {name: (self.path / name).stat().st_size for name in self.manifest.files}

    def named(self, name: str | None) -> EngineFolder:
        """Return the same engine under another name; None leaves it its own."""
        return self if name is None else replace(self, manifest=self.manifest.with_name(name))

    def at(self, size: Extent | None) -> EngineFolder:
        """Return the same engine with one size of images; None is its own.

        Raises:
            InputError: The engine has no such size.
        """
        manifest = self.manifest.at(size).model_copy(update={"sizes": None})
        return replace(self, manifest=manifest)

    def check_unchanged(self) -> None:
        """Refuse files that changed since they were checked; called when all have been read.

        Raises:
            EngineError: A file changed, so that it is not known what was loaded.
        """
        for name, stamp in self.stamps.items():
            if _stamp(self.path / name) != stamp:
                raise EngineError(f"{self.path / name}: changed while it was loaded; load it again")


def shipped_engines() -> dict[str, Path]:
    """List the engines that came with the package, by name."""
    package = Path(__file__).parents[1]
    here = engines_in(package / "engines") | engines_in(package.parent / "engines")
    installed = None if here else installed_package()
    return engines_in(installed / "engines") if installed else here


def is_shipped(folder: Path) -> bool:
    """Tell whether an engine folder is one that came with the package."""
    return folder.resolve() in {path.resolve() for path in shipped_engines().values()}


def engines_in(root: Path) -> dict[str, Path]:
    """Find the engines of a folder by their folders' names; hidden ones are half written."""
    return {path.parent.name: path.parent for path in sorted(root.glob(f"[!.]*/{MANIFEST}"))}


def is_bundle(name_or_path: object) -> bool:
    """Tell whether this names an ONNX file instead of an engine's folder."""
    if not isinstance(name_or_path, (str, os.PathLike)):
        return False
    path = Path(name_or_path)
    return path.suffix.lower() == ".onnx" and path.is_file()


def find_engine(name_or_path: str | Path) -> Path:
    """Find the folder of an engine by its path or by the name of a shipped engine.

    Raises:
        InputError: There is no such engine.
    """
    if not isinstance(name_or_path, (str, os.PathLike)):
        raise InputError("engine", name_or_path, "an engine folder's path, or a name")
    path = Path(name_or_path)
    try:
        if (path / MANIFEST).is_file():
            return path
    except (OSError, ValueError):
        pass  # no system has files of such a name
    shipped = shipped_engines()
    if str(name_or_path) in shipped:
        return shipped[str(name_or_path)]
    names = ", ".join(shipped) or "none is shipped"
    raise InputError(
        "engine", str(name_or_path), f"a folder with {MANIFEST}, or a shipped engine ({names})"
    )


def open_engine(name_or_path: str | Path) -> EngineFolder:
    """Read and check an engine folder, or a file of `adagen-rt bundle`; no graph is loaded.

    Raises:
        InputError: There is no such engine.
        EngineError: The manifest is not valid, or a file is missing or altered.
    """
    if is_bundle(name_or_path):
        from adagen_rt.engine.bundle import open_bundle  # which is an engine folder's subclass

        return open_bundle(Path(name_or_path))
    path = find_engine(name_or_path)
    manifest, digest = _read_manifest(path / MANIFEST)
    stamps = {name: _stamp(path / name) for name in manifest.files}
    for name, expected in manifest.files.items():
        _check_file(path / name, expected)
    for graph in manifest.graphs.values():
        check_graph(path / graph.file, graph, manifest.files)
    return EngineFolder(path, manifest.within(path), digest, stamps)


def _stamp(path: Path) -> Stamp:
    """Return what changes with a file; nothing for one that is not there."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _read_manifest(path: Path) -> tuple[Manifest, str]:
    """Parse a manifest, and hash what was parsed."""
    if path.stat().st_size > MAX_MANIFEST_BYTES:
        raise EngineError(f"{path}: larger than {MAX_MANIFEST_BYTES} bytes, not a manifest")
    try:
        content = json.loads(written := path.read_bytes())
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EngineError(f"{path}: not valid JSON ({error})") from None
    version = content.get("format") if isinstance(content, dict) else None
    if isinstance(version, int) and version > FORMAT:
        raise EngineError(
            f"{path}: format: got {version}, expected at most {FORMAT}; update adagen-rt"
        )
    try:
        return Manifest.model_validate(content), hashlib.sha256(written).hexdigest()
    except ValidationError as error:
        raise EngineError(f"{path}: {describe_faults(error)}") from None


def _check_file(path: Path, expected: str) -> None:
    if not path.is_file():
        raise EngineError(f"{path}: named in {MANIFEST} but not a regular file in the folder")
    if not path.resolve().is_relative_to(path.parent.resolve()):
        # Hub caches have such links, and what they lead to may change behind the engine's back.
        raise EngineError(
            f"{path}: a link to a file outside of the engine's folder; make a copy without links: "
            f"cp -rL {path.parent} COPY"
        )
    if (found := sha256(path)) != expected:
        raise EngineError(
            f"{path}: SHA-256 is {found[:12]}…, expected {expected[:12]}…; "
            "the file was altered or cut short"
        )


def sha256(path: Path) -> str:
    """Compute the hexadecimal SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def staged_engine(target: Path) -> AbstractContextManager[Path]:
    """Give a temporary folder that takes the place of an engine's when the block succeeds."""
    return staged_folder(target, MANIFEST)


def staged_twin(engine: EngineFolder, target: Path) -> AbstractContextManager[Path]:
    """Give the same for an engine that is made of another one, which it may not replace.

    Raises:
        InputError: It would.
    """
    if target.exists() and target.samefile(engine.path):
        raise InputError("out", str(target), "another folder than the engine's, which it replaces")
    return staged_engine(target)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write ``manifest.json``, with the hashes of the files that lie beside it."""
    hashes = {path.name: sha256(path) for path in sorted(folder.iterdir())}
    complete = manifest.model_copy(update={"files": hashes})
    text = complete.model_dump_json(indent=2, exclude_none=True) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8")
