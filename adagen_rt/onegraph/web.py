"""A static page that generates in the browser: the model, and ONNX Runtime's files beside it."""

from __future__ import annotations

import json
import tarfile
from importlib.resources import files
from pathlib import Path
from typing import Any

from adagen_rt.condition import ClassLabels
from adagen_rt.engine.bundle import BundleFacts, files_of
from adagen_rt.engine.folder import EngineFolder
from adagen_rt.errors import InputError
from adagen_rt.files import check_addable, staged_files
from adagen_rt.npm import archive_name, fetch, read_archive
from adagen_rt.onegraph.write import check_bundle, refuse_apart, write_bundle
from adagen_rt.sampling.params import SamplingParams
from adagen_rt.system import cache_folder

#: The package of ONNX Runtime for browsers, and the version that the page was tried with.
RUNTIME = {"onnxruntime-web": "1.30.0"}
#: Folder of its files, and those that the page needs.
DIST = "dist/"
RUNTIME_FILES = (
    "ort.wasm.min.mjs",
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm",
)
PAGE = ("index.html", "page.css", "page.js", "plots.js", "worker.js")
MODEL, FACTS = "model.onnx", "model.json"
#: Bytes of an engine of which Chromium loaded a model; from 1.9 GB on weights lie in a second file,
#: which browsers do not read, and beyond 2 GB no array of theirs holds one.
LARGEST = 1_800_000_000


def write_web(
    engine: EngineFolder,
    folder: Path,
    params: SamplingParams,
    *,
    runtime: Path | None = None,
    **options: Any,
) -> list[Path]:
    """Write a folder that any file server may serve.

    Args:
        engine: The engine, whose condition is a class.
        folder: The folder; it is new, empty, or such a page.
        params: Sampling parameters.
        runtime: Folder with the files of onnxruntime-web, or with its archive; None fetches the
            archive by npm into the user's cache.
        **options: Those of `write_bundle`.

    Raises:
        InputError: `check_web` says why.
    """
    parts = check_web(engine, folder, params, runtime=runtime, **options)
    with staged_files(folder) as staging:
        facts = write_bundle(engine, staging / MODEL, params, **options)
        assets = files(__package__) / "page"
        parts |= {name: (assets / name).read_bytes() for name in PAGE}
        parts[FACTS] = json.dumps(page_facts(engine, facts), ensure_ascii=False).encode()
        for name, content in parts.items():
            (staging / name).write_bytes(content)
    return [*files_of(folder / MODEL), *(folder / name for name in parts)]


def check_web(
    engine: EngineFolder,
    folder: Path,
    params: SamplingParams,
    *,
    runtime: Path | None = None,
    **options: Any,
) -> dict[str, bytes]:
    """Check what `write_web` is asked for, and return ONNX Runtime's files by name.

    Raises:
        InputError: The page cannot ask for the engine's condition, no browser can load it, the
            folder has something else, or ONNX Runtime's files are not to be had.
    """
    if not isinstance(engine.manifest.condition, ClassLabels):
        expected = "an engine of classes: the page has no tokenizer"
        raise InputError("web", engine.manifest.name, expected)
    refuse_apart("web", options.get("form"))
    if options.get("steps_input") is not None:
        expected = "none with web, whose page has one number of steps"
        raise InputError("steps_input", options["steps_input"], expected)
    if (size := sum(engine.sizes.values())) > LARGEST:
        expected = f"at most {LARGEST / 1e9:g} GB, which browsers load"
        raise InputError("web", f"{engine.manifest.name} of {size / 1e9:.2f} GB", expected)
    check_addable(folder, FACTS, "web")
    check_bundle(engine, folder / MODEL, params, **options)
    return read_runtime(runtime)


def page_facts(engine: EngineFolder, facts: BundleFacts) -> dict[str, Any]:
    """List what the page shows and asks for."""
    condition = engine.manifest.condition
    assert isinstance(condition, ClassLabels)
    return {
        "name": engine.manifest.name,
        "steps": facts.steps,
        "schedule": facts.schedule,
        "actions": facts.actions,
        "fidelity_input": facts.fidelity_input,
        "classes": condition.names or [str(number) for number in range(condition.count)],
    }


def read_runtime(folder: Path | None) -> dict[str, bytes]:
    """Read ONNX Runtime's files from a folder, from an archive there, or from npm's.

    Raises:
        InputError: They are not there, and npm does not bring them.
    """
    if folder is not None and all((folder / name).is_file() for name in RUNTIME_FILES):
        return {name: (folder / name).read_bytes() for name in RUNTIME_FILES}
    ((name, version),) = RUNTIME.items()
    place = folder or cache_folder() / "npm"
    archive = place / archive_name(name, version)
    if folder is not None and not archive.is_file():
        expected = f"a folder with {archive.name}, or with {', '.join(RUNTIME_FILES)}"
        raise InputError("runtime", str(folder), expected)
    fetch(place, RUNTIME, "--runtime")
    return _unpack(archive)


def _unpack(archive: Path) -> dict[str, bytes]:
    try:
        found = read_archive(archive, [DIST + name for name in RUNTIME_FILES])
    except (tarfile.TarError, EOFError, OSError) as error:
        raise InputError("runtime", str(archive), f"a whole archive ({error})") from None
    parts = {name.removeprefix(DIST): content for name, content in found.items()}
    if missing := set(RUNTIME_FILES) - parts.keys():
        raise InputError("runtime", str(archive), f"an archive with {', '.join(sorted(missing))}")
    return parts
