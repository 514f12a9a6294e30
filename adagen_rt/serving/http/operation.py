"""Triton's extensions for operators: statistics, configuration, traces and the log."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import APIRouter, Request
from opentelemetry import trace
from pydantic import BaseModel, ConfigDict

from adagen_rt.errors import InputError
from adagen_rt.serving import BatchEngine
from adagen_rt.serving.http.faults import Fault, HTTPError
from adagen_rt.serving.http.fleet import Fleet
from adagen_rt.serving.http.kserve import json_content
from adagen_rt.serving.http.kserve_images import MODEL_VERSION, describe_model
from adagen_rt.serving.http.logs import Levels, own_levels
from adagen_rt.serving.http.model_routes import ModelRoutes, find_engine
from adagen_rt.serving.http.settings import Settings
from adagen_rt.serving.http.statistics import Statistics
from adagen_rt.serving.http.telemetry import LOGGER
from adagen_rt.serving.http.tensors import parse_json

#: Triton's names of datatypes in a configuration, where they are others than KServe's.
CONFIG_TYPES = {"BYTES": "TYPE_STRING"}


def operation_router(fleet: Fleet, settings: Settings, statistics: Statistics) -> APIRouter:
    """Make the routes of statistics, configurations and settings."""
    router = APIRouter(prefix="/v2", tags=["KServe v2"])
    _add_statistics(router, fleet, statistics)
    _add_config(router, fleet)
    _add_traces(router, fleet)
    _add_log(router, settings)
    return router


def _add_statistics(router: APIRouter, fleet: Fleet, statistics: Statistics) -> None:
    def facts(engine: BatchEngine) -> dict[str, Any]:
        own = statistics.facts(engine.name)
        return {"name": engine.name, "version": MODEL_VERSION, **own}

    # Before the routes that have a model's name there.
    @router.get("/models/stats")
    async def all_statistics() -> dict[str, Any]:
        """Return how many images the engines have made, and how long that took."""
        return {"model_stats": [facts(engine) for engine in fleet.engines]}

    def model_statistics(engine: BatchEngine) -> dict[str, Any]:
        """The same of one engine."""
        return {"model_stats": [facts(engine)]}

    ModelRoutes(router, fleet).facts("/stats", model_statistics)


def _add_config(router: APIRouter, fleet: Fleet) -> None:
    def model_config(engine: BatchEngine) -> dict[str, Any]:
        """Return an engine's tensors and sizes as a configuration of Triton."""
        return describe_config(engine)

    ModelRoutes(router, fleet).facts("/config", model_config)


def describe_config(engine: BatchEngine) -> dict[str, Any]:
    """Describe an engine as a configuration of Triton; shapes have the number of images."""
    described = describe_model(engine)
    sizes = {"max_batch": engine.max_batch, "max_queue": engine.max_queue}
    return {
        "name": engine.name,
        "platform": described["platform"],
        "backend": described["platform"],
        "version_policy": {"latest": {"num_versions": 1}},
        "max_batch_size": 0,
        "input": [
            {**_config_tensor(tensor), "optional": place > 0}
            for place, tensor in enumerate(described["inputs"])
        ],
        "output": [_config_tensor(tensor) for tensor in described["outputs"]],
        "model_transaction_policy": {"decoupled": False},
        "parameters": {name: {"string_value": str(size)} for name, size in sizes.items()},
    }


def _config_tensor(tensor: dict[str, Any]) -> dict[str, Any]:
    datatype = tensor["datatype"]
    data_type = CONFIG_TYPES.get(datatype, f"TYPE_{datatype}")
    return {"name": tensor["name"], "data_type": data_type, "dims": tensor["shape"]}


class TraceSettings(BaseModel):
    """Trace settings; a value that is null is not changed."""

    model_config = ConfigDict(extra="allow", strict=True)


def _add_traces(router: APIRouter, fleet: Fleet) -> None:
    body = {"requestBody": {"content": json_content(TraceSettings)}}

    @router.get("/trace/setting")
    async def trace_setting() -> dict[str, Any]:
        """Tell whether requests are traced; OpenTelemetry's environment says how."""
        return traces()

    @router.post("/trace/setting", openapi_extra=body)
    async def set_trace(request: Request) -> dict[str, Any]:
        """Accept what holds already, and refuse everything else."""
        return _keep_traces(await request.body())

    @router.get("/models/{name}/trace/setting")
    async def model_trace_setting(name: str) -> dict[str, Any]:
        """The same of one engine."""
        find_engine(fleet, name)
        return traces()

    @router.post("/models/{name}/trace/setting", openapi_extra=body)
    async def set_model_trace(name: str, request: Request) -> dict[str, Any]:
        """The same for one engine."""
        find_engine(fleet, name)
        return _keep_traces(await request.body())


def traces() -> dict[str, Any]:
    """Tell how requests are traced, under Triton's names."""
    traced = not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
    return {
        "trace_level": ["TIMESTAMPS" if traced else "OFF"],
        "trace_mode": "opentelemetry",
        "trace_rate": "1",
        "trace_count": "-1",
    }


def _keep_traces(body: bytes) -> dict[str, Any]:
    found = traces()
    given = parse_json(TraceSettings, body or b"{}", "trace settings").model_extra or {}
    for name, value in given.items():
        if value is not None and value != found.get(name):
            expected = "what holds; OpenTelemetry's environment variables set up traces"
            raise InputError(f"{name:.40}", value, expected)
    return found


class LogSettings(BaseModel):
    """Log settings; a field that is left out is not changed."""

    model_config = ConfigDict(extra="forbid", strict=True)

    log_file: str | None = None
    log_info: bool | None = None
    log_warning: bool | None = None
    log_error: bool | None = None
    log_verbose_level: int | None = None
    log_format: str | None = None


def _add_log(router: APIRouter, settings: Settings) -> None:
    @router.get("/logging")
    async def log_settings() -> dict[str, Any]:
        """Tell which levels the log has."""
        return _log_facts(own_levels())

    @router.post("/logging", openapi_extra={"requestBody": {"content": json_content(LogSettings)}})
    async def set_log(request: Request) -> dict[str, Any]:
        """Choose the levels that the log has."""
        body = await request.body() or b"{}"
        asked = parse_json(LogSettings, body, "log settings").model_dump(exclude_none=True)
        levels = own_levels()
        before = _log_facts(levels)
        changes = {name: value for name, value in asked.items() if value != before[name]}
        for name, value in changes.items():
            if levels is None or name not in levels.chosen:
                raise InputError(name, value, f"{before[name]!r}, which cannot be changed")
        if changes and not settings.model_control:
            message = "log settings: this server was started without --model-control"
            raise HTTPError(Fault(403, message, "not_allowed"))
        if changes and levels is not None:
            logging.getLogger(LOGGER).warning("log settings", extra={"fields": changes})
            levels.chosen.update(changes)
        return _log_facts(levels)


def _log_facts(levels: Levels | None) -> dict[str, Any]:
    """Describe the log under Triton's names; it goes to stderr."""
    chosen = (levels or Levels()).chosen
    return {"log_file": "", **chosen, "log_verbose_level": 0, "log_format": "default"}
