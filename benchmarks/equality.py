"""Requests of all kinds to a service, whose images have to be those of `generate`.

Regime: shipped engines on the CPU, one thread a process, everything on this machine's loopback.
Requests of random kinds, engines and options, eight at once. `equal` images are so bit by bit;
`close` ones differ by one level of 255 at most, as sums in another order may.

    python benchmarks/equality.py --service ray [--requests 500]
"""

from __future__ import annotations

import random
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import chaos_services
import click
import numpy as np
from chaos_services import Ports
from http_clients import Wish
from more_clients import OURS, TRITONS, Kind
from timing import conditions, print_report

from adagen_rt import load
from adagen_rt.engine.manifest import Manifest

ENGINES = ("fashion-maskgit", "fashion-dit", "fashion-var", "emoji-sit")
AT_ONCE, WISHES = 8, 24
HEADER = ("service", "kind", "requests", "images", "equal", "close", "wrong", "failed")
PROMPTS = ("a red heart", "smiling face with sunglasses", "a green tree", "cat")
Expected = dict[str, list[tuple[Wish, np.ndarray]]]


def wishes_of(engine: str, rng: random.Random) -> list[tuple[Wish, np.ndarray]]:
    """Images of an engine with random options, made here."""
    pipeline = load(engine, threads=1)
    labels, found = pipeline.manifest.condition.examples(10), []
    for number in range(WISHES):
        options = _options(pipeline.manifest, rng)
        first = rng.randrange(1 << 40)
        seeds = [first + place for place in range(1 + number % 4)]
        if pipeline.manifest.condition.noun == "labels":
            wish = Wish(rng.choice(labels), seeds, options)
            made = pipeline.generate([wish.label] * len(seeds), seeds, **options)
        else:
            wish = Wish(rng.choice(PROMPTS), seeds, options)
            made = pipeline.generate(prompts=[wish.label] * len(seeds), seeds=seeds, **options)
        found.append((wish, made.images))
    pipeline.close()
    return found


def _options(manifest: Manifest, rng: random.Random) -> dict[str, object]:
    options: dict[str, object] = {}
    steps = rng.choice([4, 6, 10, None])
    if steps is not None and manifest.family.check_steps(steps) is None:
        options["steps"] = steps
    if manifest.adaptive and rng.random() < 0.6:
        options |= rng.choice(
            [{"schedule": "static"}, {"fidelity": 0.5}, {"refine": 2}, {"best_of": 2}]
        )
    return options


def judge(found: Sequence[np.ndarray], expected: np.ndarray) -> Counter[str]:
    """Count images that are equal, close and wrong."""
    seen: Counter[str] = Counter()
    for image, right in zip(found, expected, strict=True):
        # A grey image may come flat, or as three equal channels.
        far = np.abs(image.reshape(*right.shape[:2], -1).astype(int) - right).max()
        seen["equal" if far == 0 else "close" if far == 1 else "wrong"] += 1
    return seen


def ask(
    ports: Ports, kinds: dict[str, Kind], expected: Expected, seed: int
) -> tuple[str, Counter[str]]:
    """Make one request, which the seed chooses; return its kind and what came."""
    rng = random.Random(seed)
    name = rng.choice(list(kinds))
    most, call = kinds[name]
    engine = rng.choice(list(expected))
    wish, images = rng.choice([one for one in expected[engine] if len(one[0].seeds) <= most])
    count = Counter(requests=1, images=len(images))
    try:
        count.update(judge(call(ports, engine, wish), images))
    except Exception as error:
        count["failed"] += 1
        print(f"{name} {engine} {wish}: {error!r}", file=sys.stderr, flush=True)
    return name, count


@click.command()
@click.option("--service", required=True, type=click.Choice(["plain", "ray", "triton"]))
@click.option("--requests", default=500, show_default=True)
@click.option("--engine", "engines", multiple=True, default=ENGINES, show_default=True)
@click.option("--seed", default=0, show_default=True)
def main(service: str, requests: int, engines: tuple[str, ...], seed: int) -> None:
    """Ask, compare, and print what came."""
    rng = random.Random(seed)
    expected = {engine: wishes_of(engine, rng) for engine in engines}
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    with getattr(chaos_services, service)(engines) as running, ThreadPoolExecutor(AT_ONCE) as pool:
        call = partial(ask, running.ports, TRITONS if service == "triton" else OURS, expected)
        for kind, count in pool.map(call, range(seed, seed + requests)):
            seen[kind].update(count)
    rows = [(service, kind, *(seen[kind][name] for name in HEADER[2:])) for kind in sorted(seen)]
    print_report("equality", HEADER, rows, conditions(1))


if __name__ == "__main__":
    main()
