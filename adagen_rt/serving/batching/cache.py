"""Images that are kept for who asks for the same again: one seed always makes one image."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import Any

from adagen_rt.sampling.params import SamplingParams
from adagen_rt.serving.batching.job import Image, Job
from adagen_rt.serving.batching.observers import Observers

#: Bytes that an image takes besides its pixels, schedule and texts.
OVERHEAD = 2048


def key_of(
    engine: str, condition: Mapping[str, Any], seed: int, params: SamplingParams
) -> Hashable:
    """Name all that an image depends on.

    Args:
        engine: The engine's hash.
        condition: What was asked for, as `ConditionSpec.describe` gives it.
        seed: The seed that was asked for.
        params: All sampling parameters.
    """
    return engine, repr(sorted(condition.items())), seed, repr(params)


class ResultCache:
    """The images that were asked for last, as many as fit; usable from any thread.

    Args:
        limit: Bytes of all images; 0 keeps none.

    Attributes:
        bytes: Bytes of the images that are kept.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._images: OrderedDict[Hashable, Image] = OrderedDict()
        self._lock = threading.Lock()
        self.bytes = 0

    def __bool__(self) -> bool:
        return self._limit > 0

    def answer(self, key: Hashable, job: Job, observers: Observers, watched: bool) -> bool:
        """Give a job the image that is kept, or keep the one that it will have.

        Who watches an image wants to see its steps, which are not kept.

        Returns:
            Whether the job is done.
        """
        found = None if watched else self.find(key)
        if not watched:
            observers.tell("looked_up", job, found is not None)
        if found is None:
            job.future.add_done_callback(partial(self.keep, key))
            return False
        job.future.set_result(found)
        return True

    def find(self, key: Hashable) -> Image | None:
        """Find an image; its arrays are the caller's own."""
        with self._lock:
            image = self._images.get(key)
            if image is None:
                return None
            self._images.move_to_end(key)
        return replace(_copy(image), queued_seconds=0.0, seconds=0.0, backbone_rows=0, cached=True)

    def keep(self, key: Hashable, future: Future[Image]) -> None:
        """Keep the image of a job that is done; one that has failed leaves nothing."""
        if future.cancelled() or future.exception() is not None:
            return
        image = _copy(future.result())
        size = _size(key, image)
        with self._lock:
            if size > self._limit or key in self._images:
                return
            self._images[key] = image
            self.bytes += size
            while self.bytes > self._limit:
                self.bytes -= _size(*self._images.popitem(last=False))


def _copy(image: Image) -> Image:
    schedule = {name: values.copy() for name, values in image.schedule.items()}
    return replace(image, pixels=image.pixels.copy(), schedule=schedule)


def _size(key: Hashable, image: Image) -> int:
    size = image.pixels.nbytes + sum(values.nbytes for values in image.schedule.values())
    # Texts are in the key and in the image.
    return size + 4 * len(repr(key)) + OVERHEAD
