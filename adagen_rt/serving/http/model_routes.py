"""Routes of a model, each at the model's own path and at that of its one version."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Request, Response

from adagen_rt.serving import BatchEngine
from adagen_rt.serving.http.faults import Fault, HTTPError
from adagen_rt.serving.http.fleet import Fleet
from adagen_rt.serving.http.kserve_images import MODEL_VERSION

#: Tells facts of an engine.
Tell = Callable[[BatchEngine], dict[str, Any]]
#: Answers a request with images of an engine.
Answer = Callable[[BatchEngine, Request], Awaitable[Response]]


def find_engine(fleet: Fleet, name: str, number: str = MODEL_VERSION) -> BatchEngine:
    """Find an engine by its name and version."""
    engine = fleet.get(name)
    if number != MODEL_VERSION:
        message = f"version: got {number!r:.40}, expected {MODEL_VERSION}"
        raise HTTPError(Fault(404, message, "model_not_found", "version"))
    return engine


class ModelRoutes:
    """Adds routes under ``/v2/models``.

    Args:
        router: Where they are added.
        fleet: The engines.
    """

    def __init__(self, router: APIRouter, fleet: Fleet) -> None:
        self._router = router
        self._fleet = fleet

    def facts(self, place: str, tell: Tell) -> None:
        """Add a route that tells facts.

        Args:
            place: What its path has after the model's, such as ``/ready``; may be empty.
            tell: Tells them; its docstring describes the route.
        """
        fleet = self._fleet

        async def of_model(name: str) -> dict[str, Any]:
            return tell(find_engine(fleet, name))

        async def of_version(name: str, number: str) -> dict[str, Any]:
            return tell(find_engine(fleet, name, number))

        self._add(place, (of_model, of_version), tell, methods=["GET"])

    def images(self, place: str, answer: Answer, **described: Any) -> None:
        """Add a route that answers with images.

        Args:
            place: What its path has after the model's.
            answer: Answers, again where another engine takes the place of the first one; its
                docstring describes the route.
            **described: What FastAPI is told of bodies and answers.
        """
        fleet = self._fleet

        async def of_model(name: str, request: Request) -> Response:
            return await fleet.ask(name, lambda engine: answer(engine, request))

        async def of_version(name: str, number: str, request: Request) -> Response:
            find_engine(fleet, name, number)
            return await of_model(name, request)

        self._add(place, (of_model, of_version), answer, methods=["POST"], **described)

    def _add(
        self,
        place: str,
        made: tuple[Callable[..., Any], ...],
        source: Callable[..., Any],
        **options: Any,
    ) -> None:
        name = source.__name__.strip("_")
        for before, endpoint in zip(("", "/versions/{number}"), made, strict=True):
            self._router.add_api_route(
                f"/models/{{name}}{before}{place}",
                endpoint,
                name=name,
                description=source.__doc__,
                **options,
            )
