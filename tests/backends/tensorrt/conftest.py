"""GPUs that are not there."""

import pytest

from adagen_rt.backends.tensorrt import modules, runtime


@pytest.fixture
def gpu(monkeypatch):
    """Returns a function that pretends that a GPU of some compute capability is here."""

    def pretend(capability):
        for place in (modules, runtime):
            monkeypatch.setattr(place, "compute_capability", lambda: capability)

    pretend("8.9")
    return pretend
