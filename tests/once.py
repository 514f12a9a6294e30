"""Folders that are made once in a run of the tests, whichever processes ask for them."""

from pathlib import Path

from filelock import FileLock

from adagen_rt.engine.folder import MANIFEST, open_engine


def engine_once(factory, name, export):
    """Have `export(folder)` make an engine, unless another process of the run has.

    Args:
        factory: pytest's `tmp_path_factory`.
        name: What is exported; another thing has another name.
        export: Writes an engine into a folder, whole or not at all.

    Returns:
        The opened engine, which tests must not change.
    """
    engine = shared_folder(factory) / name
    with FileLock(f"{engine}.lock"):
        if not (engine / MANIFEST).is_file():
            export(engine)
    return open_engine(engine)


def shared_folder(factory):
    """Give a folder of the run, the same in every process of xdist."""
    base = Path(factory.getbasetemp())
    folder = (base.parent if base.name.startswith("popen-") else base) / "engines-once"
    folder.mkdir(exist_ok=True)
    return folder
