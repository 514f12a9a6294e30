"""Spans of a process in which OpenTelemetry's SDK is set up, over HTTP and gRPC."""

import json
import os
from pathlib import Path

import pytest
from process import run_python

pytest.importorskip("opentelemetry.sdk")
pytest.importorskip("tritonclient.grpc")
pytest.importorskip("fastapi")

PROGRAM = """
import json, sys
from contextlib import ExitStack
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

exporter, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)

import numpy as np
import tritonclient.grpc as triton
from grpc_server import started
from http_server import wait_until

parent = "00-{}-b7ad6b7169203331-01"
with ExitStack() as stack:
    service = started(stack, sys.argv[1])
    settings = service.ask("GET", "/v2/trace/setting").json()
    headers = {"traceparent": parent.format("a" * 32)}
    body = {"prompt": 0, "n": 2}
    service.ask("POST", "/v1/images/generations", body, headers)
    with triton.InferenceServerClient(service.address) as client:
        over_grpc = client.get_trace_settings(as_json=True)
        label = triton.InferInput("label", [1], "INT64")
        label.set_data_from_numpy(np.array([1]))
        client.infer("tiny", [label], headers={"traceparent": parent.format("b" * 32)})
    # The span of a request ends after its answer has gone.
    wait_until(lambda: sum(span.kind is trace.SpanKind.SERVER
                           and span.context.trace_id in (int("a" * 32, 16), int("b" * 32, 16))
                           for span in exporter.get_finished_spans()) == 2)
spans = [
    [f"{span.context.trace_id:032x}", span.name, span.kind.name, dict(span.attributes)]
    for span in exporter.get_finished_spans()
]
print(json.dumps([settings, over_grpc, spans]))
"""


def test_every_request_and_image_has_spans(judged_engine):
    tests = str(Path(__file__).parents[1])
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), tests]))
    done = run_python(PROGRAM, judged_engine, env={**os.environ, "PYTHONPATH": path})
    assert done.returncode == 0, done.stderr
    settings, over_grpc, spans = json.loads(done.stdout)
    assert settings["trace_level"] == ["TIMESTAMPS"]
    assert over_grpc["settings"]["trace_level"]["value"] == ["TIMESTAMPS"]
    for letter, images, status in (("a", 2, 200), ("b", 1, 200)):
        mine = [span for span in spans if span[0] == letter * 32]
        (server,) = [facts for _, _, kind, facts in mine if kind == "SERVER"]
        assert server["adagen.model"] == "tiny"
        assert server["adagen.images"] == images
        assert server["http.response.status_code"] == status
        names = [name for _, name, _, _ in mine]
        assert names.count("adagen.queue") == names.count("adagen.compute") == images
