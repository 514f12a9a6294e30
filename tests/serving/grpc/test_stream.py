"""Streams: several requests, previews, errors that leave the stream alive, ends."""

import queue
import signal
import time

import numpy as np
import pytest
from http_server import wait_until

pytest.importorskip("fastapi")
grpc = pytest.importorskip("grpc")
triton = pytest.importorskip("tritonclient.grpc")

PATH = "/inference.GRPCInferenceService/ModelStreamInfer"


def integers(name, *values):
    made = triton.InferInput(name, [len(values)], "INT64")
    made.set_data_from_numpy(np.array(values, np.int64))
    return made


class Client:
    """Triton's client with one stream, whose answers wait in a queue."""

    def __init__(self, address, **options):
        self.answers = queue.Queue()
        self._client = triton.InferenceServerClient(address)
        self._client.start_stream(
            lambda result, error: self.answers.put((result, error)), **options
        )

    def ask(self, label, seed=0, number="", options=None, **parameters):
        inputs = [integers("label", label), integers("seed", seed)]
        self._client.async_stream_infer(
            "tiny", inputs, request_id=number, parameters=parameters or None, **(options or {})
        )

    def next(self):
        return self.answers.get(timeout=30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._client.stop_stream(cancel_requests=True)
        self._client.close()


@pytest.fixture
def client(service):
    with Client(service.address) as client:
        yield client


def final(result):
    return result.get_response().parameters["triton_final_response"].bool_param


def test_previews_come_before_the_image(client, offline):
    client.ask(1, 9, "mine", preview_every=2, steps=7)
    expected = offline([1], [9], steps=7)
    for step in (2, 4, 6):
        result, error = client.next()
        assert error is None
        assert result.get_response().id == "mine"
        assert not final(result)
        assert result.as_numpy("step").tolist() == [step]
        assert result.as_numpy("steps").tolist() == [7]
        assert result.as_numpy("image").shape == (1, 4, 4, 1)
        chosen = np.stack([values[:step, 0] for values in expected.schedule.values()], -1)
        np.testing.assert_allclose(result.as_numpy("schedule")[0], chosen, rtol=1e-5)
    result, error = client.next()
    assert final(result)
    np.testing.assert_array_equal(result.as_numpy("image"), expected.images)
    assert result.as_numpy("seed").tolist() == [9]


def test_many_requests_on_one_stream(client, offline):
    for seed in range(100):
        client.ask(seed % 3, seed, str(seed))
    images = {}
    for _ in range(100):
        result, error = client.next()
        assert error is None
        assert final(result)
        images[int(result.get_response().id)] = result.as_numpy("image")[0]
    expected = offline([seed % 3 for seed in range(100)], list(range(100))).images
    np.testing.assert_array_equal(np.stack([images[seed] for seed in range(100)]), expected)


def test_an_error_is_an_answer_and_the_stream_goes_on(client):
    client.ask(7, number="wrong")
    _, error = client.next()
    assert "inputs.label: got 7" in str(error)
    client.ask(0, number="right", options={"enable_empty_final_response": True})
    result, _ = client.next()
    assert result.get_response().id == "right"


def test_an_error_under_way_is_an_answer(start):
    service = start(sizes={"max_batch": 1}, timeout=0.3)
    service.gate.shut()
    with Client(service.address) as client:
        client.ask(0, preview_every=1)
        wait_until(lambda: service.engine.stalled > 0.4)
        service.gate.open()
        errors = [client.next()[1]]
        while errors[-1] is None:
            errors.append(client.next()[1])
        assert "0.3 s" in str(errors[-1])


def test_strict_clients_have_their_stream_ended(service):
    with Client(service.address, headers={"triton_grpc_error": "true"}) as client:
        client.ask(7)
        _, error = client.next()
        assert error.status() == "StatusCode.INVALID_ARGUMENT"


def test_a_stream_that_is_cancelled_frees_its_slots(start):
    service = start(sizes={"max_batch": 1})
    service.gate.shut()
    with Client(service.address) as client:
        for seed in range(3):
            client.ask(0, seed)
        wait_until(lambda: (lambda s: s.running + s.queued)(service.engine.stats()) == 3)
    wait_until(lambda: service.engine.stats().finished.get("cancelled") == 3)


class Raw:
    """Streams of plain messages on one connection."""

    def __init__(self, address, count):
        self.channel = grpc.insecure_channel(address)
        self.queues = [queue.Queue() for _ in range(count)]
        self.calls = [self._open(one) for one in self.queues]

    def _open(self, waiting):
        return self.channel.stream_stream(PATH)(iter(waiting.get, None))

    def code(self, call):
        try:
            for _ in call:
                pass
        except grpc.RpcError:
            pass
        return call.code()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for call, waiting in zip(self.calls, self.queues, strict=True):
            call.cancel()
            waiting.put(None)
        self.channel.close()


def test_idle_streams_make_room(start):
    from adagen_rt.serving.http.connections import ConnectionLimits

    service = start(limits=ConnectionLimits(total=8, per_address=4))
    with Raw(service.address, 12) as raw, Client(service.address) as client:
        wait_until(lambda: sum(call.done() for call in raw.calls) >= 8)
        ended = [call for call in raw.calls if call.done()]
        assert {raw.code(call) for call in ended} == {grpc.StatusCode.UNAVAILABLE}
        with triton.InferenceServerClient(service.address) as other:
            assert other.is_server_ready()
            assert other.get_server_metadata().name == "adagen-rt"
        client.ask(0)
        assert client.next()[1] is None


def test_busy_calls_are_not_sent_away(start):
    from adagen_rt.serving.http.connections import ConnectionLimits

    service = start(sizes={"max_batch": 1}, limits=ConnectionLimits(total=2, per_address=2))
    service.gate.shut()
    with Client(service.address) as first, Client(service.address) as second:
        first.ask(0)
        second.ask(1)
        wait_until(lambda: (lambda s: s.running + s.queued)(service.engine.stats()) == 2)
        with triton.InferenceServerClient(service.address) as other:
            with pytest.raises(triton.InferenceServerException, match="too many"):
                other.get_server_metadata()
            assert other.is_server_live()
        service.gate.open()
        assert first.next()[1] is None
        assert second.next()[1] is None


def test_a_stream_of_nonsense_is_answered(start):
    from adagen_rt.serving.grpc.messages import MESSAGES

    service = start()
    with Raw(service.address, 1) as raw:
        for data in (b"\xff" * 9, b"", b"\x2a\x00" * 300_000):
            raw.queues[0].put(data)
            answer = MESSAGES["ModelStreamInferResponse"].FromString(next(raw.calls[0]))
            assert answer.error_message
        raw.queues[0].put(b"\0" * ((1 << 20) + 1))
        assert raw.code(raw.calls[0]) is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_signal_ends_idle_streams_after_their_work(start):
    service = start(sizes={"max_batch": 1})
    with Raw(service.address, 1) as raw, Client(service.address) as client:
        service.gate.shut()
        client.ask(0)
        wait_until(lambda: service.engine.stats().running == 1)
        service.server.handle_exit(signal.SIGTERM, None)
        client.ask(1)
        _, error = client.next()
        assert "shutting down" in str(error)
        service.gate.open()
        result, error = client.next()
        assert error is None
        assert result.as_numpy("image") is not None
        begin = time.monotonic()
        assert raw.code(raw.calls[0]) is grpc.StatusCode.UNAVAILABLE
        assert time.monotonic() - begin < 20
