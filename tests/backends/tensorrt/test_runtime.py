"""Plans as device graphs, with stand-ins for the modules."""

import pytest
from fake_tensorrt_runtime import SCRATCH
from tiny_engine import TOKENS, VOCABULARY, WIDTH

from adagen_rt.backends.base import DeviceTensor
from adagen_rt.backends.tensorrt.build import build_plans
from adagen_rt.backends.tensorrt.runtime import PlanGraphs, Plans
from adagen_rt.cuda.host import HostDriver
from adagen_rt.engine.folder import open_engine
from adagen_rt.errors import DeviceError, InputError, MissingExtraError, PlanError

STREAM = 77
SHAPES = {"tokens": (2, TOKENS), "labels": (2,)}
ADDRESSES = {"tokens": 256, "labels": 512, "logits": 768, "features": 1024}


@pytest.fixture(params=["tensorrt", "tensorrt-rtx"])
def backend(request):
    return request.param


@pytest.fixture
def plans(own_engine, stand_in, gpu, backend):
    stand_in(backend)
    engine = open_engine(own_engine)
    build_plans(engine, backend, batches=(4, 1))
    return Plans(engine, backend)


def context(graph):
    return graph._context


def test_profiles_are_known(plans):
    assert plans.batches == (1, 4)
    assert plans.profiles("backbone") == (SHAPES, {"tokens": (8, TOKENS), "labels": (8,)})


def test_a_graph_has_fixed_shapes_and_dtypes(plans):
    graph = plans.graph("backbone", SHAPES, STREAM)
    assert graph.inputs == {
        "tokens": DeviceTensor((2, TOKENS), "int64"),
        "labels": DeviceTensor((2,), "int64"),
    }
    assert graph.outputs == {
        "logits": DeviceTensor((2, TOKENS, VOCABULARY), "float32"),
        "features": DeviceTensor((2, TOKENS, WIDTH), "float32"),
    }


def test_a_bound_graph_runs_on_the_stream(plans):
    graph = PlanGraphs(plans, HostDriver(), STREAM).graph("backbone", SHAPES)
    graph.bind(ADDRESSES)
    graph.enqueue(STREAM)
    graph.enqueue(STREAM)
    assert context(graph).runs == [STREAM, STREAM]
    assert context(graph).addresses == ADDRESSES


def test_every_graph_has_a_context_of_its_own(plans):
    one, other = (plans.graph("backbone", shapes, STREAM) for shapes in plans.profiles("backbone"))
    assert context(one) is not context(other)
    assert (context(one).profile, context(other).profile) == (0, 1)


def test_all_graphs_share_scratch_memory(plans):
    assert plans.scratch_bytes == 2 * SCRATCH  # of the second of two profiles
    driver = HostDriver()
    graphs = PlanGraphs(plans, driver, STREAM)
    small = graphs.graph("decoder", {"tokens": (1, TOKENS)})
    large = graphs.graph("backbone", plans.profiles("backbone")[1])
    (scratch,) = driver._memory
    assert context(small).scratch == context(large).scratch == (scratch, 2 * SCRATCH)
    graphs.close()
    assert not driver._memory


def test_inputs_that_a_graph_does_not_read_are_left_out(plans):
    graph = PlanGraphs(plans, HostDriver(), STREAM).graph("backbone", {**SHAPES, "positions": (3,)})
    assert graph.inputs.keys() == SHAPES.keys()


def test_shapes_without_a_profile_are_refused(plans):
    with pytest.raises(InputError, match=r"inputs of backbone for a batch in \[1, 4\]"):
        plans.graph("backbone", {"tokens": (3, TOKENS), "labels": (3,)}, STREAM)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"labels": 0}, r"addresses\.labels: got 0, expected a device pointer"),
        ({"labels": 520}, r"addresses\.labels: got 520, .* at a multiple of 256"),
        ({"labels": 256}, "a different one for each tensor"),
        ({"noise": 4}, "addresses: got .*noise"),
    ],
)
def test_wrong_addresses_are_refused(plans, change, named):
    graph = plans.graph("backbone", SHAPES, STREAM)
    with pytest.raises(InputError, match=named):
        graph.bind({**ADDRESSES, **change})
    assert context(graph).addresses == {}


def test_a_missing_address_is_refused(plans):
    graph = plans.graph("backbone", SHAPES, STREAM)
    with pytest.raises(InputError, match="addresses"):
        graph.bind({"tokens": 256})


def test_what_tensorrt_refuses_is_an_error(plans):
    with pytest.raises(PlanError, match="TensorRT refuses profile 0: it does not say why"):
        plans.graph("backbone", SHAPES, stream=0)
    graph = PlanGraphs(plans, HostDriver(), STREAM).graph("backbone", SHAPES)
    graph.bind(ADDRESSES)
    with pytest.raises(PlanError, match="TensorRT refuses to run"):
        graph.enqueue(0)


def test_a_context_that_cannot_be_made_is_an_error(plans, monkeypatch):
    def fail(self, how):
        plans._logger.log(1, "out of\n memory")

    monkeypatch.setattr("fake_tensorrt_runtime.Plan.create_execution_context", fail)
    with pytest.raises(PlanError, match="refuses an execution context: out of memory"):
        plans.graph("backbone", SHAPES, STREAM)


def test_a_tensor_on_the_host_is_refused(plans, monkeypatch):
    location = type("Location", (), {"name": "HOST"})
    monkeypatch.setattr(
        "fake_tensorrt_runtime.Plan.get_tensor_location", lambda self, name: location
    )
    with pytest.raises(PlanError, match="tokens: TensorRT keeps it on the HOST"):
        plans.graph("backbone", SHAPES, STREAM)


def test_a_plan_that_tensorrt_refuses_is_an_error(own_engine, stand_in, plans, backend):
    module = stand_in(backend)

    class Runtime:
        def __init__(self, logger):
            self.logger = logger

        def deserialize_cuda_engine(self, content):
            self.logger.log(1, "Error Code 1: no memory")

    module.Runtime = Runtime
    with pytest.raises(PlanError, match=r"refuses the plan of \w+: Error Code 1: no memory; build"):
        Plans(open_engine(own_engine), backend)


def test_plans_of_another_gpu_are_refused(own_engine, stand_in, gpu):
    stand_in("tensorrt")
    gpu("9.0")
    build_plans(open_engine(own_engine), "tensorrt", batches=(1,))
    gpu("10.0")
    with pytest.raises(PlanError, match=r"built for compute capability 9\.0, .* has 10\.0"):
        Plans(open_engine(own_engine), "tensorrt")


def test_without_the_module_the_extra_is_named(tiny_engine, monkeypatch, backend):
    module = backend.replace("-", "_")
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"adagen-rt\[{backend}\]"):
        Plans(open_engine(tiny_engine), backend)


def test_without_a_gpu_the_driver_is_named(tiny_engine, stand_in, monkeypatch, backend):
    stand_in(backend)
    monkeypatch.setattr("adagen_rt.backends.gpu.DRIVER", "libnothing.so.1")
    with pytest.raises(DeviceError, match=r"no NVIDIA GPU: .*libnothing\.so\.1"):
        Plans(open_engine(tiny_engine), backend)


@pytest.fixture
def kernels(own_engine, stand_in, gpu):
    """Returns a function that runs a process's worth and returns the file of its kernels."""
    stand_in("tensorrt-rtx")
    engine = open_engine(own_engine)
    build_plans(engine, "tensorrt-rtx", batches=(1,))

    def run():
        plans = Plans(engine, "tensorrt-rtx")
        for graph in engine.manifest.graphs:
            plans.graph(graph, plans.profiles(graph)[0], STREAM)
        plans.save_kernels()
        return own_engine / "plans" / "tensorrt-rtx.kernels"

    return run


def test_compiled_kernels_are_kept_for_the_next_process(kernels):
    path = kernels()
    assert path.read_bytes()[32:] == b"k" * 3
    assert kernels().read_bytes()[32:] == b"k" * 6
    assert {sibling.name for sibling in path.parent.iterdir()} == {path.name, "tensorrt-rtx"}


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "link"])
def test_damaged_kernels_are_not_used(kernels, tmp_path, damage):
    path = kernels()
    content = path.read_bytes()
    path.unlink()
    if damage == "link":
        (tmp_path / "elsewhere").write_bytes(content)
        path.symlink_to(tmp_path / "elsewhere")
    else:
        path.write_bytes({"flip": content[:-1] + b"K", "truncate": content[:-1]}.get(damage, b""))
    assert kernels().read_bytes()[32:] == b"k" * 3


def test_plans_that_compiled_nothing_save_nothing(plans, own_engine):
    plans.save_kernels()
    assert not list((own_engine / "plans").glob("*.kernels"))
