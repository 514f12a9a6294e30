"""What ``args`` of a Ray Serve application may say."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

from adagen_rt.errors import InputError
from adagen_rt.extent import MAX_SIDE
from adagen_rt.ops.cpu import MAX_THREADS
from adagen_rt.sampling.request import MAX_BATCH
from adagen_rt.serving.batching.engine import MAX_COST, MAX_QUEUE


class Options(BaseModel):
    """Options of an application; the names are those of ``adagen-rt serve`` and of Ray Serve.

    Attributes:
        engines: Places of engines, each a folder that every node sees or a shipped engine's name,
            by the name under which requests ask for it; or a list of places.
        threads: CPU threads of a replica, which reserves as many CPUs of its node.
        max_batch: Images of an engine that are under way at once in a replica.
        max_queue: Images that may wait for them.
        max_queue_cost: Cost of all that may wait.
        max_cost: Cost of one request: images x best-of x refine x steps x area (1: the
            engine's own).
        max_side: Longest side of images, in pixels, of engines that have several sizes.
        timeout: Seconds until an image that is not done is given up.
        token: Bearer token that requests must carry; None asks for none.
        allowed_hosts: Names by which requests may call, besides localhost and addresses.
        min_replicas: Replicas at least.
        max_replicas: Replicas at most.
        target_ongoing_requests: Requests of a replica above which there are more of them; None
            takes the images that it has under way at once.
        health_check_period_s: Seconds between two questions whether a replica makes steps.
        health_check_timeout_s: Seconds after which a replica without an answer is replaced.
        ready_seconds: Seconds without a step, while there is work, after which it is too.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    engines: dict[str, str] | list[str] = Field(min_length=1)
    threads: int = Field(1, ge=1, le=MAX_THREADS)
    max_batch: int = Field(16, ge=1, le=MAX_BATCH)
    max_queue: int = Field(64, ge=1, le=MAX_QUEUE)
    max_queue_cost: int = Field(32768, ge=1, le=MAX_COST)
    max_cost: int = Field(8192, ge=1, le=MAX_COST)
    max_side: int = Field(MAX_SIDE, ge=1, le=MAX_SIDE)
    timeout: float = Field(60.0, gt=0, allow_inf_nan=False)
    token: str | None = Field(None, min_length=1)
    allowed_hosts: tuple[str, ...] = ()
    min_replicas: int = Field(1, ge=1)
    max_replicas: int = Field(1, ge=1)
    target_ongoing_requests: float | None = Field(None, gt=0)
    health_check_period_s: float = Field(5.0, gt=0)
    health_check_timeout_s: float = Field(10.0, gt=0)
    ready_seconds: float = Field(60.0, gt=0)

    @model_validator(mode="after")
    def _check_replicas(self) -> Options:
        if self.max_replicas < self.min_replicas:
            raise InputError(
                "max_replicas", self.max_replicas, f"at least {self.min_replicas}, min_replicas"
            )
        return self

    @property
    def slots(self) -> int:
        """Images of all engines that a replica has under way at once."""
        return self.max_batch * len(self.engines)

    @property
    def places(self) -> int:
        """Images of all engines that a replica takes: under way or waiting."""
        return (self.max_batch + self.max_queue) * len(self.engines)
