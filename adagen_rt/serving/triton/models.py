"""What Triton's Python backend calls; `repository` writes the files that name it."""

from __future__ import annotations

import time
from collections import defaultdict
from concurrent.futures import CancelledError, Future
from functools import partial
from typing import Any

import numpy as np

from adagen_rt.engine.manifest import Manifest
from adagen_rt.errors import AdagenError, SampleError, as_integer
from adagen_rt.extent import MAX_SIDE
from adagen_rt.pipeline.load import load
from adagen_rt.sampling.params import SamplingParams
from adagen_rt.sampling.request import make_request
from adagen_rt.sampling.result import Result
from adagen_rt.serving.batching.engine import BatchEngine
from adagen_rt.serving.batching.job import Image, Job, Outcome, Progress
from adagen_rt.serving.triton.repository import (
    ENGINE,
    QUEUE,
    SIDE,
    SLOTS,
    THREADS,
    condition_inputs,
    takes_prompts,
)
from adagen_rt.serving.triton.tensors import (
    answer,
    cancellation,
    integers,
    parameters,
    read,
    read_condition,
    read_one,
    read_params,
    refusal,
    send_last,
    stacked,
)

#: Seconds between two looks whether clients have left, which ask the server.
LOOK_SECONDS = 0.1
MAX_EVERY = 1 << 31


class StreamModel:
    """Answers a request with the previews that it asks for, and then with the image."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the engine, whose thread computes from now on."""
        given = parameters(args)
        self._engine = BatchEngine(
            given[ENGINE],
            max_batch=int(given[SLOTS]),
            max_queue=int(given[QUEUE]),
            max_side=_side(given),
            threads=_threads(given),
        )
        self._clients = _Clients()
        self._engine.observers.append(self._clients)

    def execute(self, requests: list[Any]) -> None:
        """Queue requests and return; their answers are sent from the engine's thread."""
        for request in requests:
            sender = request.get_response_sender()
            try:
                self._queue(request, sender)
            except AdagenError as error:
                send_last(sender, refusal(error))

    def finalize(self) -> None:
        """Finish what is under way."""
        self._engine.close()

    def _queue(self, request: Any, sender: Any) -> None:
        manifest = self._engine.manifest
        asked = {name: read_one(request, name) for name in condition_inputs(manifest)}
        every = as_integer("preview_every", read_one(request, "preview_every") or 0, 0, MAX_EVERY)
        job = self._engine.submit(
            seed=read_one(request, "seed"),
            params=read_params(request),
            strict=bool(read_one(request, "strict")),
            watch=partial(_show, sender, manifest) if every else None,
            watch_every=every or 1,
            **asked,
        )
        self._clients.senders[job] = sender
        job.future.add_done_callback(partial(self._answer, job, sender))

    def _answer(self, job: Job, sender: Any, future: Future[Image]) -> None:
        self._clients.senders.pop(job, None)
        try:
            response = _image(future.result(), self._engine.manifest)
        except CancelledError:
            response = cancellation()
        except Exception as error:
            response = refusal(error)
        send_last(sender, response)


class BatchModel:
    """Answers the requests that the server puts together, when all their images are made."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the engine."""
        given = parameters(args)
        self._slots = int(given[SLOTS])
        self._pipeline = load(given[ENGINE], threads=_threads(given))
        self._manifest = self._pipeline.manifest.up_to(_side(given))

    def execute(self, requests: list[Any]) -> list[Any]:
        """Make the images of all requests; those of the same options in one batch."""
        alike: dict[SamplingParams, list[int]] = defaultdict(list)
        answers: list[Any] = [None] * len(requests)
        for place, request in enumerate(requests):
            try:
                if request.is_cancelled():
                    answers[place] = cancellation()
                    continue
                params = read_params(request).check(self._manifest)
                # A request that cannot be made must not spoil those of others.
                self._request([request], params, bool(read_one(request, "strict")))
                alike[params].append(place)
            except AdagenError as error:
                answers[place] = refusal(error)
        for params, places in alike.items():
            made = self._make([requests[place] for place in places], params)
            for place, response in zip(places, made, strict=True):
                answers[place] = response
        return answers

    def finalize(self) -> None:
        """Give the memory back."""
        self._pipeline.close()

    def _request(self, requests: list[Any], params: SamplingParams, strict: bool = False) -> Any:
        """Join requests of the same options to one."""
        manifest = self._manifest
        asked = [one for request in requests for one in read_condition(request, manifest)]
        seeds = [seed for request in requests for seed in _seeds(request, manifest)]
        return make_request(manifest, asked, seeds, params, strict=strict)

    def _make(self, requests: list[Any], params: SamplingParams) -> list[Any]:
        manifest = self._manifest
        sizes = [len(read_condition(request, manifest)) for request in requests]
        try:
            joined = self._request(requests, params)
            result = self._pipeline.run(joined, batch_size=self._slots)
        except AdagenError as error:
            return [refusal(error)] * len(requests)
        ends = np.cumsum(sizes).tolist()
        parts = [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
        cut = joined.rows.get("cut")
        return [
            _part(result, part, manifest, {} if cut is None else {"cut": cut[part, None]})
            for part in parts
        ]


class _Clients:
    """Cancels the jobs of clients that have left; an observer of the engine."""

    def __init__(self) -> None:
        self.senders: dict[Job, Any] = {}
        self._looked = 0.0

    def stepped(self, slots: int, seconds: float) -> None:
        """Look, once in a while."""
        now = time.monotonic()
        if now < self._looked + LOOK_SECONDS:
            return
        self._looked = now
        for job, sender in list(self.senders.items()):
            if sender.is_cancelled():
                job.cancel()

    def queued(self, job: Job) -> None:
        """Nothing to do."""

    def started(self, job: Job, queued_seconds: float) -> None:
        """Nothing to do."""

    def ended(self, job: Job, outcome: Outcome, seconds: float) -> None:
        """Nothing to do."""


def _threads(given: dict[str, str]) -> int | None:
    return int(given[THREADS]) if THREADS in given else None


def _side(given: dict[str, str]) -> int:
    return as_integer(SIDE, int(given.get(SIDE, MAX_SIDE)), 1, MAX_SIDE)


def _seeds(request: Any, manifest: Manifest) -> list[int]:
    """Read a seed for each image, or draw them."""
    seeds = read(request, "seed")
    if seeds is None:
        drawn: list[int] = make_request(manifest, read_condition(request, manifest)).seeds.tolist()
        return drawn
    return seeds


def _show(sender: Any, manifest: Manifest, progress: Progress) -> None:
    """Send a preview; the last step's image is the answer itself."""
    if progress.step < progress.steps:
        sender.send(
            answer(
                image=progress.preview,
                step=integers(progress.step),
                steps=integers(progress.steps),
                schedule=stacked(progress.schedule, manifest),
            )
        )


def _image(image: Image, manifest: Manifest) -> Any:
    cut = np.array([image.condition.get("cut", "")], np.object_)
    return answer(
        image=image.pixels,
        seed=integers(image.seed),
        step=integers(image.steps),
        steps=integers(image.steps),
        schedule=stacked(image.schedule, manifest),
        **({"cut": cut} if takes_prompts(manifest) else {}),
    )


def _part(result: Result, places: slice, manifest: Manifest, more: dict[str, np.ndarray]) -> Any:
    """Answer one request of several that were made together, with more outputs besides."""
    failed = [
        step for place, step in result.failures.items() if places.start <= place < places.stop
    ]
    if failed:
        return refusal(SampleError(min(failed)))
    chosen = {name: values[:, places].T for name, values in result.schedule.items()}
    return answer(
        image=result.images[places],
        seed=result.seeds[places, None],
        schedule=stacked(chosen, manifest),
        **more,
    )
