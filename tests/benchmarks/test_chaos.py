"""What breaks services on purpose notices a wrong image."""

import pytest
from tiny_engine import Options, build_tiny_engine

pytest.importorskip("fastapi", reason="needs the extra serve")


@pytest.fixture
def ask(tiny_engine):
    """Returns a function that has clients ask a server of some engine for those of another."""
    from chaos_clients import Clients, from_server
    from http_server import running

    from adagen_rt.serving import BatchEngine
    from adagen_rt.serving.http import Fleet, create_app

    def asked(engine, fault=lambda served: None):
        with (
            BatchEngine(engine, threads=1) as served,
            running(create_app(Fleet.of(served))) as port,
        ):
            clients = Clients(str(tiny_engine), from_server(f"http://127.0.0.1:{port}", 10))
            return clients.during(lambda: fault(served), seconds=0.4)

    return asked


def test_right_images_are_right(ask, tiny_engine):
    right, wrong, failed, longest, until = ask(tiny_engine)
    assert right > 0
    assert (wrong, failed, until) == (0, "", 0.0)
    assert longest > 0


def test_wrong_ones_are_wrong(ask, tmp_path):
    assert ask(build_tiny_engine(tmp_path / "other", Options(seed=1)))[1] > 0


def test_refusals_are_counted_by_their_status(ask, tiny_engine):
    _, wrong, failed, _, until = ask(tiny_engine, lambda served: served.close(drain=False))
    assert wrong == 0
    assert " x 503" in failed
    assert until > 0


@pytest.mark.slow
def test_a_job_that_is_broken_gives_the_same(tiny_engine, tmp_path):
    import signal

    from chaos_bulk import Job

    job = Job(str(tiny_engine), 600, 20, tmp_path)
    assert job.whole() > 0
    assert job.kill_the_driver(2, 3.0)
    assert job.hit_a_worker(signal.SIGKILL, 2.0)
    assert job.fill_the_disk()
