"""Ways to use a machine differ in what their sessions are told."""

import pytest

SPINNING, STOPPED = "session.intra_op.allow_spinning", "session.force_spinning_stop"


@pytest.mark.parametrize(
    ("way", "entry", "value"),
    [("in a run", STOPPED, "1"), ("always", STOPPED, "0"), ("never", SPINNING, "0")],
)
def test_sessions_are_told_whether_threads_spin(tiny_engine, monkeypatch, way, entry, value):
    from processes import generations

    from adagen_rt.backends.onnxruntime.session import OnnxRuntime

    told = []
    usual = OnnxRuntime._graph

    def graph(self, source, folder, model):
        told.append(self._options(folder, 1, 1).get_session_config_entry(entry))
        return usual(self, source, folder, model)

    monkeypatch.setattr(OnnxRuntime, "_graph", graph)
    monkeypatch.setattr(OnnxRuntime, "_options", OnnxRuntime._options)  # put back afterwards
    contender = generations(str(tiny_engine), 3, 1, way, None)["generate"]
    assert contender() == 3
    assert set(told) == {value}
