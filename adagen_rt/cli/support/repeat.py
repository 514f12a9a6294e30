"""`generate --repeat`: what a file says about its images, asked for again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from adagen_rt.backends import BACKENDS, Execution
from adagen_rt.cli.support.wanted import WANTED
from adagen_rt.engine.folder import EngineFolder, find_engine, open_engine
from adagen_rt.errors import InputError
from adagen_rt.sampling.facts import read_facts
from adagen_rt.sampling.origin import Facts
from adagen_rt.sampling.params import ROWS, SamplingParams
from adagen_rt.sampling.request import Request, make_request

#: Options that the file answers.
ANSWERED = (*WANTED, "count", "seed", "static", "tuned", *ROWS)


@dataclass(frozen=True)
class Asked:
    """What a run is asked for.

    Attributes:
        engine: The engine.
        request: The samples.
        execution: Who runs the graphs.
    """

    engine: EngineFolder
    request: Request
    execution: Execution


def ask_again(
    context: click.Context, path: Path, engine: str | None, execution: Execution
) -> Asked:
    """Read what to ask for from a file that `generate` wrote.

    Args:
        context: Tells which options were given.
        path: The file.
        engine: The engine to take, whatever its hash; None takes the one of that name.
        execution: Its backend and the like are taken where they were given; otherwise the file's.

    Raises:
        InputError: The file tells too little, the engine is another, or an option contradicts.
    """
    refuse_beside(context, ANSWERED, "repeat")
    facts = _read(path)
    opened = _open(path, facts, engine)
    if context.get_parameter_source("backend") is ParameterSource.DEFAULT:
        backend = _word(path, facts, "backend", BACKENDS)
        asked = {name: facts.get(name) for name in ("provider", "precision")}
        given = {name: value for name in asked if (value := getattr(execution, name))}
        execution = replace(execution, backend=backend, **(asked | given))
    try:
        return Asked(opened, _request(opened, facts), execution)
    except (KeyError, TypeError) as error:
        raise InputError("repeat", str(path), f"samples with {error}") from None


def refuse_beside(context: click.Context, names: Sequence[str], field: str) -> None:
    """Refuse options that mean nothing beside another.

    Raises:
        InputError: One was given.
    """
    for parameter in context.command.params:
        given = context.get_parameter_source(str(parameter.name)) is not ParameterSource.DEFAULT
        if parameter.name in names and given:
            option = parameter.opts[0]
            raise InputError(field, f"{option} as well", f"no {option}: the file says it")


def _read(path: Path) -> Facts:
    if not path.is_file():
        raise InputError("repeat", str(path), "a file")
    facts = read_facts(path)
    if facts is None or not facts["samples"]:
        expected = "a picture, .npz, trace or JSON that adagen-rt generate wrote or printed"
        raise InputError("repeat", str(path), expected)
    return facts


def _open(path: Path, facts: Facts, engine: str | None) -> EngineFolder:
    if engine is not None:
        return open_engine(engine)
    name = str(facts.get("engine"))
    try:
        find_engine(name)
    except InputError:
        expected = f"--engine with the folder of its engine: {name} is not shipped"
        raise InputError("repeat", str(path), expected) from None
    opened = open_engine(name)
    there, here = str(facts.get("engine_hash")), opened.hash
    if there != here:
        expected = f"{there[:12]}…, of which {path} is; --engine {name} takes this one all the same"
        raise InputError("engine", f"{name} with the hash {here[:12]}…", expected)
    return opened


def _request(engine: EngineFolder, facts: Facts) -> Request:
    samples = facts["samples"]
    shares = [sample["fidelity"] for sample in samples]
    params = SamplingParams(
        steps=facts["steps"],
        schedule=facts["schedule"],
        refine=facts["refine"],
        # What is said is the seed of the image that was kept.
        best_of=1,
        fidelity=shares if any(shares) else 0.0,
        reuse=facts.get("reuse", 0.0),
        size=facts.get("size"),
    )
    asked = [engine.manifest.condition.again(sample) for sample in samples]
    return make_request(engine.manifest, asked, [sample["seed"] for sample in samples], params)


def _word(path: Path, facts: Facts, name: str, choices: Sequence[str]) -> Any:
    if (value := facts.get(name)) not in choices:
        raise InputError("repeat", str(path), f"a {name} of {', '.join(choices)}, not {value!r}")
    return value
