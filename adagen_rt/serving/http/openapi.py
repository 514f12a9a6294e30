"""The description of all routes: true statuses of errors, their shapes, and the token."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from adagen_rt.serving.http.auth import OPEN_PATHS
from adagen_rt.serving.http.paths import PROBES
from adagen_rt.serving.http.tokens import Tokens

#: Statuses of errors and what they mean: of every path that is no probe, of requests with a body,
#: of those that name an engine, and of those for which it computes.
ALWAYS = {421: "The host is not this server's.", 500: "An error that nobody expected."}
TOKEN = {401: "The token is missing or wrong."}
BODY = {
    400: "A field is wrong, and the message names it.",
    403: "A page of another site asks, or this is not allowed.",
    408: "The body took too long.",
    413: "The body is too large.",
    415: "The content type or encoding is none that is read.",
}
ENGINE = {404: "There is no such engine.", 503: "The engine is not ready, or the server stops."}
COMPUTED = {429: "The queue is full.", 504: "The deadline has passed."}
#: Ends of paths for which an engine computes.
COMPUTING = ("/infer", "/generate", "/generate_stream", "/generations", "/events")

_TEXT = {"type": "string"}
SHAPES = {
    "KServeError": {
        "type": "object",
        "required": ["error"],
        "properties": {"error": _TEXT},
    },
    "Error": {
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["message", "type", "param", "code"],
                "properties": {
                    "message": _TEXT,
                    "type": _TEXT,
                    "param": {"type": ["string", "null"]},
                    "code": _TEXT,
                },
            }
        },
    },
}
#: What FastAPI says of errors that are answered in the API's own shape here.
WRONG_STATUS, WRONG_SHAPES = "422", ("HTTPValidationError", "ValidationError")


def describe(app: FastAPI, tokens: Tokens) -> None:
    """Let an application describe itself as it is.

    Args:
        app: The application, with all its routes.
        tokens: Tokens that it asks for; none asks for none.
    """

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(title=app.title, version=app.version, routes=app.routes)
            app.openapi_schema = _corrected(made, bool(tokens))
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _corrected(made: dict[str, Any], guarded: bool) -> dict[str, Any]:
    parts = made.setdefault("components", {})
    shapes = parts.setdefault("schemas", {})
    for name in WRONG_SHAPES:
        shapes.pop(name, None)
    shapes |= SHAPES
    if guarded:
        parts["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
    for path, methods in made["paths"].items():
        shape = "KServeError" if path.startswith("/v2") else "Error"
        for method in methods.values():
            open_to_all = path in OPEN_PATHS or not guarded
            if not open_to_all:
                method["security"] = [{"bearer": []}]
            answers = method["responses"]
            answers.pop(WRONG_STATUS, None)
            for status, text in _errors(path, "requestBody" in method, open_to_all).items():
                answers.setdefault(str(status), _error(text, shape))
    return made


def _errors(path: str, has_body: bool, open_to_all: bool) -> dict[int, str]:
    """List the statuses of errors that a path may answer."""
    if path in PROBES:
        return {}
    errors = {**ALWAYS, **({} if open_to_all else TOKEN)}
    if has_body:
        errors |= BODY
    computes = path.endswith(COMPUTING)
    if computes or "{" in path:
        errors |= ENGINE
    return {**errors, **(COMPUTED if computes else {})}


def _error(text: str, shape: str) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{shape}"}
    return {"description": text, "content": {"application/json": {"schema": schema}}}
