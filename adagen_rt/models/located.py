"""Where a weight file lies: by the name that a recipe gives it, or as others lay files out.

A file of exactly the given name is the one. Where there is none, `RULES` are tried, all of them: a
file that only one of them finds is taken and told, and of several none is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from adagen_rt.errors import CheckpointError
from adagen_rt.types import Tell

#: Precisions that names have in them: diffusers' and transformers' `variant`.
VARIANTS = ("fp16", "bf16", "fp32")
#: The end of the name of a list of shards.
INDEX = ".index.json"
#: Folders inside each other that a name is looked for in.
DEPTH = 2


@dataclass(frozen=True)
class Rule:
    """A way in which others lay out a file.

    Attributes:
        name: What it is, for people.
        find: Lists what it finds for the path that a recipe means.
    """

    name: str
    find: Callable[[Path, Path], Iterable[Path]]


def _shards(folder: Path, path: Path) -> list[Path]:
    return [path.with_name(path.name + INDEX)]


def _variants(folder: Path, path: Path) -> list[Path]:
    whole = [path.with_name(f"{path.stem}.{one}{path.suffix}") for one in VARIANTS]
    return whole + [path.with_name(f"{path.name}.index.{one}.json") for one in VARIANTS]


def _converted(folder: Path, path: Path) -> list[Path]:
    return [] if path.suffix == ".safetensors" else [path.with_suffix(".safetensors")]


def _deeper(folder: Path, path: Path) -> list[Path]:
    if path.parent != folder:
        return []
    return [
        found for level in range(1, DEPTH + 1) for found in folder.glob("*/" * level + path.name)
    ]


RULES = (
    Rule(f"shards listed in FILE{INDEX}", _shards),
    Rule(f"a variant, such as STEM.{VARIANTS[0]}.safetensors", _variants),
    Rule("the same name with .safetensors", _converted),
    Rule("the same name in a folder inside", _deeper),
)


def locate(folders: Sequence[Path], name: str, tell: Tell = lambda message: None) -> Path:
    """Find a weight file.

    Args:
        folders: Where it may lie; the first that has it is meant.
        name: Its path inside of them.
        tell: Told which rule found it, if it does not lie under its name.

    Raises:
        CheckpointError: There is none, or several could be meant.
    """
    roots = [snapshot(folder) for folder in folders]
    for root in roots:
        if (root / name).is_file():
            return root / name
    found = {
        path: rule.name
        for root in roots
        for rule in RULES
        for path in rule.find(root, root / name)
        if path.is_file()
    }
    if len(found) == 1:
        path, rule = found.popitem()
        tell(f"{path}: taken for {name} ({rule})")
        return path
    wanted = roots[0] / name
    if found:
        several = ", ".join(f"{path} ({rule})" for path, rule in found.items())
        raise CheckpointError(
            f"{wanted}: no such file, and several could be meant: {several}; "
            "name one of them under the recipe's files"
        )
    raise CheckpointError(
        f"{wanted}: {_absence(wanted)}; nor {', nor '.join(rule.name for rule in RULES)}"
    )


def snapshot(folder: Path) -> Path:
    """Give the files of a repository in a hub's cache; of any other folder, itself.

    Raises:
        CheckpointError: The cache has several revisions, none of which is the main one.
    """
    inside = folder / "snapshots"
    if not inside.is_dir() or not (folder / "blobs").is_dir():
        return folder
    if (folder / "refs" / "main").is_file():
        return revision_folder(folder, "main")
    revisions = sorted(path for path in inside.iterdir() if path.is_dir())
    if len(revisions) != 1:
        names = ", ".join(str(path) for path in revisions) or "none"
        raise CheckpointError(f"{folder}: no revision is the main one; name one folder of: {names}")
    return revisions[0]


def revision_folder(repository: Path, revision: str) -> Path:
    """Name the folder of a branch, tag or commit in a repository of a hub's cache.

    Raises:
        CheckpointError: The cache does not say a commit of it.
    """
    reference = repository / "refs" / revision
    commit = _commit(reference) if reference.is_file() else revision
    return repository / "snapshots" / commit


def _commit(reference: Path) -> str:
    """Read a revision's commit, which is a folder's name and leads nowhere else."""
    with reference.open("rb") as file:
        content = file.read(100).decode("ascii", errors="replace").strip()
    if not re.fullmatch(r"[0-9a-f]{7,64}", content):
        raise CheckpointError(f"{reference}: got {content!r:.80}, expected the name of a commit")
    return content


def _absence(path: Path) -> str:
    if path.is_symlink():
        return f"a link to {path.readlink()}, which is not there"
    return "no such file"
