"""What compares a service's images with `generate` asks in every way, and notices a wrong image."""

import random
from contextlib import ExitStack

import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")
pytest.importorskip("tritonclient.grpc", reason="needs the extra test")


@pytest.fixture
def ask(judged_engine, scripts):
    """Returns a function that asks once by a kind, for images as `wishes_of` makes them."""
    from chaos_services import Ports
    from equality import ask, wishes_of
    from grpc_server import started
    from more_clients import OURS

    wishes = wishes_of(str(judged_engine), random.Random(0))
    with ExitStack() as stack:
        service = started(stack, judged_engine)
        ports = Ports(service.http, service.port)

        def one(kind, change=lambda images: images):
            expected = {"tiny": [(wish, change(images)) for wish, images in wishes]}
            return ask(ports, {kind: OURS[kind]}, expected, 0)[1]

        yield one


def test_every_kind_has_the_images(ask):
    from more_clients import OURS

    for kind in OURS:
        seen = ask(kind)
        assert seen["equal"] == seen["images"] > 0, (kind, seen)


def test_other_images_are_wrong_and_refusals_fail(ask, monkeypatch):
    from more_clients import OURS

    assert ask("gRPC", lambda images: 255 - images)["wrong"] > 0
    monkeypatch.setitem(OURS, "openai", (1, lambda ports, model, wish: 1 / 0))
    assert ask("openai")["failed"] == 1


def test_images_of_one_level_more_are_close():
    import numpy as np
    from equality import judge

    right = np.array([3, 4, 5, 5], np.uint8).reshape(2, 1, 2, 1)
    assert judge([right[0].ravel(), right[1] + 1], right) == {"equal": 1, "close": 1}
    assert judge([right[0] + 2, right[1]], right) == {"wrong": 1, "equal": 1}
