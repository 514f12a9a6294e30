"""Server-sent events: previews of an image, and the policy's actions for it so far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from pydantic import Field

from adagen_rt.sampling.params import MAX_STEPS
from adagen_rt.sampling.request import SEED_LIMIT
from adagen_rt.serving import BatchEngine, Image, Job, Progress
from adagen_rt.serving.http.describe import static_schedule
from adagen_rt.serving.http.faults import Fault
from adagen_rt.serving.http.fleet import Fleet
from adagen_rt.serving.http.options import Options
from adagen_rt.serving.http.pictures import as_base64
from adagen_rt.serving.http.renamed import renamed
from adagen_rt.serving.http.settings import Settings
from adagen_rt.serving.http.streams import event, stream_image
from adagen_rt.serving.http.telemetry import note
from adagen_rt.serving.http.work import ImageOrder, caller_of, cost_limit, deadline

Numbers = dict[str, list[float | None]]
CONTENT: dict[str, Any] = {"text/event-stream": {}}


class EventsRequest(Options):
    """Body of ``/events``."""

    label: str | int | None = Field(
        None, description="A class name or number, of an engine that takes classes."
    )
    prompt: str | None = Field(None, description="A text, of an engine that takes prompts.")
    model: str | None = Field(None, description="The engine; may be left out if there is one.")
    seed: int | None = Field(None, ge=0, lt=SEED_LIMIT)
    every: int = Field(1, ge=1, le=MAX_STEPS, description="Steps from one preview to the next.")


def events_router(fleet: Fleet, settings: Settings) -> APIRouter:
    """Make the route ``/events``."""
    router = APIRouter(tags=["Events"])

    @router.post("/events", response_class=StreamingResponse, responses={200: {"content": CONTENT}})
    async def watch_image(body: EventsRequest, request: Request) -> StreamingResponse:
        """Stream one image, with a preview and the schedule after every ``every`` steps."""
        return await fleet.ask(body.model, lambda one: _watch(one, body, request, settings))

    return router


async def _watch(
    engine: BatchEngine, body: EventsRequest, request: Request, settings: Settings
) -> StreamingResponse:
    note(request, engine.name, 1)
    params = body.params()
    order = ImageOrder(
        given=[body.wish(label=body.label, prompt=body.prompt)],
        seeds=[body.seed],
        params=params,
        timeout=deadline(request, settings),
        caller=caller_of(request),
        cost_limit=cost_limit(request, settings),
    )
    messages = _Messages(engine, params.steps or engine.manifest.schedule.steps)
    with renamed(seeds="seed"):
        return await stream_image(request, engine, order, body.every, messages, settings)


@dataclass(frozen=True)
class _Messages:
    """What ``/events`` says of an image."""

    engine: BatchEngine
    steps: int

    def queued(self, job: Job) -> str:
        facts = {
            "id": job.id,
            "model": self.engine.name,
            **job.condition,
            "seed": str(job.seed),
            "steps": self.steps,
            "static_schedule": static_schedule(self.engine.manifest, self.steps),
        }
        return event("queued", facts)

    def step(self, progress: Progress) -> str:
        facts = {
            "step": progress.step,
            "steps": progress.steps,
            "schedule": numbers(progress.schedule),
            "image": as_base64(progress.preview),
        }
        return event("step", facts)

    def done(self, image: Image) -> str:
        facts = {
            **image.condition,
            "seed": str(image.seed),
            "steps": image.steps,
            "schedule": numbers(image.schedule),
            "queued_seconds": round(image.queued_seconds, 6),
            "seconds": round(image.seconds, 6),
            "evaluations": image.evaluations,
            "backbone_rows": image.backbone_rows,
            "image": as_base64(image.pixels),
        }
        return event("done", facts)

    def error(self, fault: Fault) -> str:
        facts = {"status": fault.status, "message": fault.message, "code": fault.code}
        return event("error", facts)


def numbers(schedule: dict[str, np.ndarray]) -> Numbers:
    """Convert a schedule for JSON, which has no NaN: null where a step was not needed."""
    return {
        name: [float(f"{value:.7g}") if np.isfinite(value) else None for value in values]
        for name, values in schedule.items()
    }
