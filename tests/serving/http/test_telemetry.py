"""Metrics, logs, request ids, spans."""

import json
import logging
from dataclasses import dataclass
from importlib.metadata import version

import pytest
from http_server import wait_until

pytest.importorskip("fastapi")
parser = pytest.importorskip("prometheus_client.parser")

GENERATE = "/v1/images/generations"
CHILDREN = ("adagen.queue", "adagen.compute")


def samples(service):
    """Value of every metric by name and labels."""
    answer = service.ask("GET", "/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in parser.text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


def test_metrics_follow_what_happens(gated):
    service = gated(max_batch=2, max_queue=3)
    assert service.ask("POST", GENERATE, {"prompt": 0, "n": 2}).status == 200
    assert service.ask("POST", GENERATE, {"prompt": 0, "n": 4}).status == 400
    assert service.ask("POST", GENERATE, {"prompt": "no such class"}).status == 400
    found = samples(service)
    assert found["adagen_images_total", "ok", "tiny"] == 2
    assert found["adagen_images_submitted_total", "tiny"] == 2
    assert found["adagen_image_seconds_count", "tiny"] == 2
    assert found["adagen_queue_seconds_count", "tiny"] == 2
    assert found["adagen_http_requests_total", GENERATE, "200"] == 1
    assert found["adagen_http_requests_total", GENERATE, "400"] == 2
    assert found["adagen_slots", "tiny"] == 2
    assert found["adagen_running", "tiny"] == found["adagen_queued", "tiny"] == 0
    # Two images of four steps, together or one after the other.
    assert found["adagen_slot_steps_total", "tiny"] == 8
    assert 4 <= found["adagen_step_seconds_count", "tiny"] <= 8


def test_apps_share_no_metrics(service, gated):
    service.ask("POST", GENERATE, {"prompt": 0})
    assert samples(gated())["adagen_http_requests_total", GENERATE, "200"] == 0


def test_counters_begin_at_nothing(service):
    from http_server import ask, running

    from adagen_rt.serving.http import Fleet, create_app

    with running(create_app(Fleet(["later"]))) as port:
        found = samples(Asked(port, ask))
    for outcome in ("ok", "failed", "cancelled", "deadline", "error"):
        assert found[("adagen_images_total", *sorted(("later", outcome)))] == 0
    assert found["adagen_images_submitted_total", "later"] == 0
    for status in ("200", "400", "429", "503", "504"):
        assert found["adagen_http_requests_total", GENERATE, status] == 0
        assert found["adagen_http_requests_total", "/events", status] == 0


@dataclass
class Asked:
    port: int
    how: object

    def ask(self, *given):
        return self.how(self.port, *given)


def test_what_runs_and_what_it_takes(service):
    found = samples(service)
    (build,) = [key for key in found if key[0] == "adagen_build_info"]
    assert version("adagen-rt") in build
    assert found["process_resident_memory_bytes",] > 1e6
    assert found["process_open_fds",] > 3
    assert found["process_cpu_seconds_total",] > 0


def test_the_time_to_wait_is_that_of_retry_after(gated):
    service = gated(max_batch=1, max_queue=2)
    assert samples(service)["adagen_wait_seconds", "tiny"] == 0
    service.gate.shut()
    jobs = [service.engine.submit(0, 0, steps=500)]
    wait_until(lambda: service.engine.stats().running == 1)
    jobs += [service.engine.submit(0, seed, steps=500) for seed in range(2)]
    service.engine._scheduler.pace = 0.1
    refused = service.ask("POST", GENERATE, {"prompt": 0})
    told = samples(service)["adagen_wait_seconds", "tiny"]
    assert told == pytest.approx(150, abs=2)
    assert int(refused.headers["retry-after"]) == pytest.approx(told, abs=1)
    for job in jobs:
        job.cancel()


@pytest.mark.parametrize("path", ["/v2", GENERATE, "/nowhere"])
def test_request_ids_are_echoed_or_made(service, path):
    given = service.ask("GET", path, headers={"X-Request-Id": "abc-123"})
    assert given.headers["x-request-id"] == "abc-123"
    for bad in ("", "a b", "x" * 200, "\xe9"):
        made = service.ask("GET", path, headers={"X-Request-Id": bad}).headers["x-request-id"]
        assert made != bad
        assert len(made) == 32


def test_a_refusal_before_the_application_has_an_id_too(service):
    answer = service.ask("POST", GENERATE, bytes(2 << 20), {"X-Request-Id": "big"})
    assert (answer.status, answer.headers["x-request-id"]) == (413, "big")


def test_one_line_a_request(service, caplog):
    from adagen_rt.serving.http.logs import JSONFormatter

    caplog.set_level(logging.INFO, "adagen_rt.serving")
    body = {"prompt": 0, "n": 2}
    service.ask("POST", f"{GENERATE}?token=secret", body, {"X-Request-Id": "line"})
    service.ask("GET", "/v2/health/ready", headers={"X-Request-Id": "probe"})

    def told(name):
        lines = [r for r in caplog.records if r.name == "adagen_rt.serving"]
        return [line for line in lines if line.fields["request_id"] == name]

    wait_until(lambda: told("line"))
    assert not told("probe")
    (record,) = told("line")
    line = json.loads(JSONFormatter().format(record))
    assert line["request_id"] == "line"
    assert (line["model"], line["images"], line["status"]) == ("tiny", 2, 200)
    assert (line["method"], line["route"]) == ("POST", GENERATE)
    assert 0 < line["seconds"] < 60
    assert "secret" not in str(line)


def test_a_traceback_stays_on_one_line():
    from adagen_rt.serving.http.logs import JSONFormatter

    try:
        raise ValueError("two\nlines")
    except ValueError as error:
        info = (type(error), error, error.__traceback__)
    record = logging.LogRecord("x", logging.ERROR, "f", 1, "a %s", ("b\nc",), info)
    text = JSONFormatter().format(record)
    assert "\n" not in text
    line = json.loads(text)
    assert line["message"] == "a b\nc"
    assert "two\nlines" in line["traceback"]


def test_spans(service, monkeypatch):
    sdk = pytest.importorskip("opentelemetry.sdk.trace")
    from opentelemetry import trace
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    provider, exporter = sdk.TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    # The API lets a process set its provider once.
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    service.ask("POST", GENERATE, {"prompt": 0}, {"traceparent": parent, "X-Request-Id": "one"})
    service.ask("POST", GENERATE, {"prompt": "x"})
    servers = trace.SpanKind.SERVER

    def found():
        return [span for span in exporter.get_finished_spans() if span.kind is servers]

    wait_until(lambda: len(found()) == 2)
    good, bad = found()
    assert good.name == f"POST {GENERATE}"
    assert f"{good.context.trace_id:x}" == "af7651916cd43dd8448eb211c80319c"
    expected = {
        "http.response.status_code": 200,
        "adagen.model": "tiny",
        "adagen.images": 1,
        "adagen.request_id": "one",
    }
    assert expected.items() <= dict(good.attributes).items()
    assert bad.attributes["http.response.status_code"] == 400
    children = [span for span in exporter.get_finished_spans() if span.name in CHILDREN]
    assert [span.name for span in children] == list(CHILDREN)
    assert {span.context.trace_id for span in children} == {good.context.trace_id}
    assert children[0].end_time <= children[1].end_time <= good.end_time
    assert children[1].attributes["adagen.outcome"] == "ok"
