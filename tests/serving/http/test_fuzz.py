"""Requests made from the OpenAPI description, valid and not: none of them is the server's fault."""

import tempfile

import pytest
from hypothesis import HealthCheck, given, settings

pytest.importorskip("fastapi")
schemathesis = pytest.importorskip("schemathesis")

#: Of each operation, valid and invalid.
CASES = 25
#: What an answer has to have in common with its description.
CHECKS = (
    schemathesis.checks.status_code_conformance,
    schemathesis.checks.content_type_conformance,
    schemathesis.checks.response_schema_conformance,
)


LABEL = {"name": "label", "shape": [2], "datatype": "INT64", "data": [0, 2]}
SEED = {"name": "seed", "shape": [2], "datatype": "INT64", "data": [1, 2]}
#: What describes answers, and stays as it is.
ANSWERS = ("responses", "ImageDatum", "ImagesResponse")
#: Values under which a request reaches the engine and does not keep it long.
USEFUL = {
    "name": {"enum": ["tiny"]},
    "model": {"enum": ["tiny"]},
    "number": {"enum": ["1"]},
    "prompt": {"enum": [0, 1, 2]},
    "label": {"enum": ["circle", 1, "2"]},
    "inputs": {"enum": [[LABEL], [LABEL, SEED], [SEED, LABEL]]},
    "outputs": {"enum": [[{"name": "image"}, {"name": "schedule"}]]},
    "size": {"enum": ["auto", "4x4"]},
    "n": {"enum": [1, 4, 8]},
    "steps": {"enum": [1, 10, 20]},
    "refine": {"enum": [1, 2, 4]},
    "best_of": {"enum": [1, 2, 4]},
    "timeout": {"type": "integer", "minimum": 20_000_000},
}


def narrowed(node):
    """A description whose valid requests are useful ones."""
    if isinstance(node, list):
        return [narrowed(item) for item in node]
    if not isinstance(node, dict):
        return node
    if node.get("in") in ("path", "query") and node["name"] in USEFUL:
        return {**node, "schema": USEFUL[node["name"]]}
    copy = {k: value if k in ANSWERS else narrowed(value) for k, value in node.items()}
    if isinstance(copy.get("properties"), dict):
        properties = copy["properties"]
        copy["properties"] = {name: USEFUL.get(name, properties[name]) for name in properties}
        if {"label", "prompt"} <= properties.keys():  # one of the two, and the engine takes labels
            copy["required"] = sorted({"label", *copy.get("required", ())})
            del copy["properties"]["prompt"]
    return copy


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
def test_no_server_error(service, mode):
    valid = mode is schemathesis.GenerationMode.POSITIVE
    content = service.app.openapi()
    description = schemathesis.openapi.from_dict(narrowed(content) if valid else content)
    tried = {}

    def check(case):
        response = case.call(base_url=f"http://127.0.0.1:{service.port}")
        tried.setdefault(case.operation.label, set()).add(response.status_code)
        assert response.status_code < 500, response.content
        # Not written out here, where the generator of requests would find it.
        assert tempfile.gettempdir().encode() + b"/pytest" not in response.content
        assert b"Traceback" not in response.content
        assert response.headers["x-request-id"]
        case.validate_response(response, checks=CHECKS)

    for found in description.get_all_operations():
        # Nothing is wrong with any name in a path, nor can a request without a body be wrong.
        if not valid and not found.ok().body:
            continue
        strategy = found.ok().as_strategy(generation_mode=mode)
        profile = settings(
            max_examples=CASES,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        profile(given(strategy)(check))()
    made = {label for label, statuses in tried.items() if 200 in statuses}
    with_body = {"load", "unload", "index", "infer", "generations", "events"}
    with_body |= {"generate", "generate_stream", "setting", "logging"}
    assert valid or {label.rpartition("/")[2] for label in tried} == with_body
    refused = {label for label in tried if label.endswith("load")}
    # Which may come without a body too.
    bodiless = {label for label in tried if label.endswith(("/index", "/setting", "/logging"))}
    assert made - bodiless == (set(tried) - refused - bodiless if valid else set()), tried
