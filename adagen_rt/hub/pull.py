"""Fetching what a recipe or a pipeline is made of, and checking that it is that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from adagen_rt.engine.folder import sha256
from adagen_rt.errors import CheckpointError, DownloadError, InputError
from adagen_rt.export.recipe import Recipe
from adagen_rt.export.sources import Source
from adagen_rt.hub.pipelines import MODEL_INDEX, choose_files, parts_of
from adagen_rt.hub.repository import Listing, Repository, discard
from adagen_rt.models.located import locate
from adagen_rt.types import Tell


@dataclass(frozen=True)
class Got:
    """A file that is there and has been checked.

    Attributes:
        path: Where it lies.
        sha256: Its SHA-256.
        known: Who says that this is the right one; empty for nobody.
    """

    path: Path
    sha256: str
    known: str


@dataclass(frozen=True)
class Pulled:
    """All files of a model.

    Attributes:
        folders: Folders that an export looks for them in, in this order.
        files: The files.
    """

    folders: tuple[Path, ...]
    files: tuple[Got, ...]


def pull(
    what: Recipe | str,
    by_hand: Path,
    *,
    revision: str | None = None,
    variant: str | None = None,
    dry: bool = False,
    tell: Tell = lambda message: None,
) -> Pulled:
    """Fetch all files of a model into the hub's cache.

    Args:
        what: A recipe that says where its files are, or the name of a repository with a pipeline.
        by_hand: Folder with the files that no hub has.
        revision: Branch, tag or commit of the repository; None for the usual one.
        variant: Variant of a pipeline's weights, such as `fp16`.
        dry: Only say what would be fetched.
        tell: Told of licences, sizes and checksums.

    Raises:
        AdagenError: A file is missing, not for everyone, or not the right one; nothing of what
            was fetched is then used.
    """
    if isinstance(what, str):
        return _pull_pipeline(Repository(what, revision or "main"), variant, dry, tell)
    if variant is not None:
        raise InputError("include", variant, f"none: the files of {what.name} have no variants")
    return _pull_recipe(what, by_hand, revision, dry, tell)


def _pull_recipe(
    recipe: Recipe, by_hand: Path, revision: str | None, dry: bool, tell: Tell
) -> Pulled:
    sources = {file: recipe.sources[name] for name, file in recipe.weight_names().items()}
    groups = _by_repository(sources, revision)
    found = [_find(repository, list(paths.values())) for repository, paths in groups]
    listings = [listing for listing in found if listing is not None]
    lacking = list(_lacking_by_hand(by_hand, sources))
    pairs = zip(groups, found, strict=True)
    absent = [_place(one, paths.values()) for (one, paths), listing in pairs if listing is None]
    if absent:
        lacking.append(f"{_unreachable(groups[0][0])}: {', '.join(absent)}")
    if lacking:
        told = f"{recipe.name}: {'; '.join(lacking)}"
        if not dry:
            raise DownloadError(told)
        tell(told)
        return Pulled((), ())
    for (repository, paths), listing in zip(groups, listings, strict=True):
        _announce(repository, listing, list(paths.values()), tell)
    if dry:
        return Pulled((), ())
    got = [_checked(by_hand, file, source, tell) for file, source in sources.items() if source.link]
    folders = [by_hand]
    for (repository, paths), listing in zip(groups, listings, strict=True):
        for file, path in paths.items():
            got.append(_fetch(repository, listing, path, sources[file].sha256, tell))
            folders.append(_above(got[-1].path, file, path))
    return Pulled(tuple(dict.fromkeys(folders)), tuple(got))


def _by_repository(
    sources: dict[str, Source], revision: str | None
) -> list[tuple[Repository, dict[str, str]]]:
    """Group the files of hubs: paths in their repository by their names in the recipe."""
    groups: dict[tuple[str, str], dict[str, str]] = {}
    for file, source in sources.items():
        if source.repository is not None:
            place = source.repository, revision or source.revision
            groups.setdefault(place, {})[file] = source.path or file
    if revision is not None and len(groups) != 1:
        names = ", ".join(name for name, _ in groups) or "no repository"
        raise InputError("revision", revision, f"none, as the files come from {names}")
    return [(Repository(*place), paths) for place, paths in groups.items()]


def _lacking_by_hand(by_hand: Path, sources: dict[str, Source]) -> Iterator[str]:
    """Name the files that a person has to fetch."""
    lacking = []
    for file, source in sources.items():
        if source.link is None:
            continue
        try:
            locate([by_hand], file)
        except CheckpointError:
            lacking.append(f"{file} from {source.link}")
    if lacking:
        yield f"no hub has these files, put them into {by_hand}: {', '.join(lacking)}"


def _pull_pipeline(repository: Repository, variant: str | None, dry: bool, tell: Tell) -> Pulled:
    listing = _find(repository, [MODEL_INDEX])
    if listing is None:
        wanted = _place(repository, [f"{MODEL_INDEX} and the weights that it names"])
        raise DownloadError(f"{_unreachable(repository)}: {wanted}")
    if MODEL_INDEX not in listing.files:
        raise DownloadError(
            f"{repository.page}: it has no {MODEL_INDEX}, so it is no diffusers pipeline; weights "
            "alone want a recipe (docs/recipes.md)"
        )
    index = _fetch(repository, listing, MODEL_INDEX, None, lambda message: None).path
    paths = choose_files(parts_of(index), listing.files, variant, repository.page)
    _announce(repository, listing, paths, tell)
    if dry:
        return Pulled((), ())
    got = tuple(_fetch(repository, listing, path, None, tell) for path in paths)
    return Pulled((index.parent,), got)


def _find(repository: Repository, wanted: Sequence[str]) -> Listing | None:
    """Ask the hub what it has, or without one, the cache, if that has what is wanted."""
    if (listing := repository.ask()) is not None:
        return listing
    kept = repository.cached()
    return kept if kept is not None and all(path in kept.files for path in wanted) else None


def _unreachable(repository: Repository) -> str:
    return (
        "the hub cannot be reached (HF_HUB_OFFLINE, or no network), and "
        f"{repository.cache} lacks what would be fetched"
    )


def _place(repository: Repository, paths: Iterable[str]) -> str:
    return f"{', '.join(paths)} from {repository.page} at {repository.revision}"


def _announce(repository: Repository, listing: Listing, paths: list[str], tell: Tell) -> None:
    """Say what is fetched, how much of it, and under which licence, and check the room for it.

    Raises:
        DownloadError: The repository lacks a file, or there is too little room.
    """
    if absent := [path for path in paths if path not in listing.files]:
        raise DownloadError(f"{repository.page}: it has no {', '.join(absent)}")
    if not listing.online:
        tell(f"{repository.page}: from the cache, as the hub cannot be reached")
        return
    lacking = repository.missing_bytes(paths, listing)
    tell(f"{repository.page}: {listing.licence}")
    tell(f"{repository.page}: {len(paths)} files, {lacking / 1e6:,.1f} MB of them to fetch")
    repository.check_room(lacking)


def _fetch(
    repository: Repository, listing: Listing, path: str, pinned: str | None, tell: Tell
) -> Got:
    """Fetch a file and compare its checksum with the recipe's and the hub's.

    Raises:
        DownloadError: It has another checksum. What is damaged does not stay in the cache.
    """
    found = repository.fetch(path, listing)
    digest, described = sha256(found), listing.files[path].sha256
    if described is not None and digest != described:
        discard(found)
        raise DownloadError(
            f"{repository.page}: {path}: got SHA-256 {digest}, expected {described}, which the hub "
            "says; it was removed, pull it again"
        )
    return _known(found, digest, pinned, "the hub" if described else "", tell)


def _checked(folder: Path, file: str, source: Source, tell: Tell) -> Got:
    found = locate([folder], file)
    return _known(found, sha256(found), source.sha256, "", tell)


def _known(path: Path, digest: str, pinned: str | None, known: str, tell: Tell) -> Got:
    if pinned is not None and digest != pinned:
        raise DownloadError(
            f"{path}: got SHA-256 {digest}, expected the recipe's {pinned}; it is not used"
        )
    known = "the recipe" if pinned else known
    whose = f"as {known} says" if known else "nobody has said which"
    tell(f"{path.name}: SHA-256 {digest} ({whose})")
    return Got(path, digest, known)


def _above(place: Path, file: str, path: str) -> Path:
    """Give the folder in which a recipe's file name leads to a place in the cache.

    Raises:
        InputError: None does, because the recipe gives it another name.
    """
    name, inside = PurePosixPath(file).parts, PurePosixPath(path).parts
    if inside[-len(name) :] != name:
        raise InputError("sources", path, f"a path that ends in {file}, as under files")
    return place.parents[len(name) - 1]
