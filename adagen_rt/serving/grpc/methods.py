"""Calls that have one request and one answer: which request of the HTTP side each of them is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from adagen_rt.errors import InputError
from adagen_rt.serving.grpc.calls import Asked, posted
from adagen_rt.serving.grpc.messages import HEALTH, MESSAGES, Pool
from adagen_rt.serving.grpc.protocol import HEALTH_SERVICE, SERVICE
from adagen_rt.serving.grpc.tensors import MAX_PARAMETERS, read_parameters, write_body
from adagen_rt.serving.http.faults import Fault, HTTPError
from adagen_rt.serving.http.kserve import HEADER_LENGTH
from adagen_rt.serving.http.kserve_images import MODEL_VERSION
from adagen_rt.serving.http.paths import PROBES

LIVE, READY = PROBES


@dataclass(frozen=True)
class Method:
    """One call.

    Attributes:
        name: Its name.
        ask: Makes the request of a message.
        read: Makes the fields of the answer's message, of a status and the JSON with it.
        answers: Statuses that are an answer and no error.
        pool: Where its messages are.
        prefix: Name of its messages without what they end with.
    """

    name: str
    ask: Callable[[Any], Asked]
    read: Callable[[int, Any], dict[str, Any]] = lambda status, content: content
    answers: tuple[int, ...] = (200,)
    pool: Pool = MESSAGES
    prefix: str = ""

    @property
    def request(self) -> Any:
        """Class of its request."""
        return self.pool[f"{self.prefix or self.name}Request"]

    @property
    def response(self) -> Any:
        """Class of its answer."""
        return self.pool[f"{self.prefix or self.name}Response"]


def model_path(name: str, version: str, call: str = "") -> str:
    """Return the path of a call of a model, always with a version: ``stats`` may be a name too.

    Raises:
        HTTPError: The names cannot be those of a model.
    """
    for field, given in (("name", name), ("version", version)):
        if "/" in given or (field == "name" and not given):
            message = f"{field}: got {given!r:.80}, expected that of a model"
            raise HTTPError(Fault(404, message, "model_not_found", field))
    return f"/v2/models/{name}/versions/{version or MODEL_VERSION}{call}"


def infer_request(message: Any, extensions: tuple[str, ...] = ()) -> Asked:
    """Make the request of an inference."""
    path = model_path(message.model_name, message.model_version, "/infer")
    body, length = write_body(message)
    headers = {"content-type": "application/octet-stream", HEADER_LENGTH.lower(): str(length)}
    return Asked("POST", path, body, headers, extensions)


def _of_model(call: str) -> Callable[[Any], Asked]:
    return lambda message: Asked("GET", model_path(message.name, message.version, call))


def _statistics(message: Any) -> Asked:
    if not message.name and not message.version:
        return Asked("GET", "/v2/models/stats")
    return _of_model("/stats")(message)


def _index(message: Any) -> Asked:
    _check_repository(message)
    return posted("/v2/repository/index", {"ready": message.ready})


def _control(call: str) -> Callable[[Any], Asked]:
    def ask(message: Any) -> Asked:
        _check_repository(message)
        model_path(message.model_name, "")  # a name without a path's signs
        parameters = {
            name: "bytes" if isinstance(value, bytes) else value
            for name, value in read_parameters(message.parameters).items()
        }
        path = f"/v2/repository/models/{message.model_name}/{call}"
        return posted(path, {"parameters": parameters})

    return ask


def _check_repository(message: Any) -> None:
    if message.repository_name:
        raise InputError("repository_name", message.repository_name[:40], "none, for there is one")


def _trace(message: Any) -> Asked:
    path = "/v2/trace/setting"
    if message.model_name:
        model_path(message.model_name, "")
        path = f"/v2/models/{message.model_name}/trace/setting"
    _check_settings(message)
    if not message.settings:
        return Asked("GET", path)
    return posted(path, {name: _plain(name, one) for name, one in message.settings.items()})


def _plain(name: str, one: Any) -> Any:
    """Read a setting: a level is a list, and one without a value is left as it is."""
    values = list(one.value)
    if name == "trace_level":
        return values or None
    return values[0] if len(values) == 1 else values or None


def _log(message: Any) -> Asked:
    _check_settings(message)
    if not message.settings:
        return Asked("GET", "/v2/logging")
    return posted("/v2/logging", read_parameters(message.settings))


def _check_settings(message: Any) -> None:
    if len(message.settings) > MAX_PARAMETERS:
        count = f"{len(message.settings)} of them"
        raise InputError("settings", count, f"at most {MAX_PARAMETERS}")


def _traced(status: int, content: dict[str, Any]) -> dict[str, Any]:
    lists = {name: one if isinstance(one, list) else [one] for name, one in content.items()}
    return {"settings": {name: {"value": one} for name, one in lists.items()}}


def _logged(status: int, content: dict[str, Any]) -> dict[str, Any]:
    kinds: dict[type, str] = {bool: "bool_param", int: "uint32_param", str: "string_param"}
    return {"settings": {name: {kinds[type(one)]: one} for name, one in content.items()}}


def _health(message: Any) -> Asked:
    if message.service not in ("", SERVICE, HEALTH_SERVICE):
        raise HTTPError(Fault(404, f"service: got {message.service!r:.80}, expected {SERVICE}"))
    return Asked("GET", READY)


def _ready(status: int, content: Any) -> dict[str, Any]:
    return {"ready": status == 200}


def _nothing(status: int, content: Any) -> dict[str, Any]:
    return {}


#: All such calls but the inference, by service.
METHODS = {
    SERVICE: (
        Method("ServerLive", lambda _: Asked("GET", LIVE), answers=(200, 503)),
        Method("ServerReady", lambda _: Asked("GET", READY), answers=(200, 503)),
        Method("ModelReady", _of_model("/ready"), _ready, (200, 404, 503)),
        Method("ServerMetadata", lambda _: Asked("GET", "/v2")),
        Method("ModelMetadata", _of_model("")),
        Method("ModelConfig", _of_model("/config"), lambda _, found: {"config": found}),
        Method("ModelStatistics", _statistics),
        Method("RepositoryIndex", _index, lambda _, found: {"models": found}),
        Method("RepositoryModelLoad", _control("load"), _nothing),
        Method("RepositoryModelUnload", _control("unload"), _nothing),
        Method("TraceSetting", _trace, _traced),
        Method("LogSettings", _log, _logged),
    ),
    HEALTH_SERVICE: (
        Method(
            "Check",
            _health,
            lambda status, _: {"status": "SERVING" if status == 200 else "NOT_SERVING"},
            (200, 503),
            HEALTH,
            "HealthCheck",
        ),
    ),
}
#: All calls that have one request and one answer, and the one that has many, by their full names.
INFER, STREAM = f"/{SERVICE}/ModelInfer", f"/{SERVICE}/ModelStreamInfer"
SINGLE = (
    *(f"/{service}/{method.name}" for service, methods in METHODS.items() for method in methods),
    INFER,
)
#: Calls that are answered however many there are.
PROBE_CALLS = ("ServerLive", "ServerReady", "Check")
