"""Hosts without this package: the programs of the documentation, and what they may ask for."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image
from tiny_prompts import SHORT

import adagen_rt
from adagen_rt.engine.folder import open_engine
from adagen_rt.onegraph.write import write_bundle

PAGE = Path(__file__).parents[2] / "docs" / "bundle.md"
COMPILER = shutil.which("c++") or shutil.which("g++")


def program(language):
    """The page's program in a language."""
    return re.search(rf"```{language}\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)[1]


def has_header():
    """Whether the compiler finds ONNX Runtime's header, which no package of a registry has."""
    command = [COMPILER, "-E", "-x", "c++", "-", "-o", "/dev/null"]
    line = "#include <onnxruntime_cxx_api.h>\n"
    done = subprocess.run(command, input=line, text=True, capture_output=True, check=False)
    return done.returncode == 0


@pytest.fixture(scope="module")
def dit(tmp_path_factory):
    """A folder with the model that the programs load."""
    folder = tmp_path_factory.mktemp("host")
    write_bundle(open_engine("fashion-dit"), folder / "dit.onnx")
    return folder


def test_the_program_in_cpp_makes_the_images(dit):
    if COMPILER is None or not has_header():
        pytest.skip("needs a C++ compiler that finds onnxruntime_cxx_api.h")
    (dit / "dit.cpp").write_text(program("cpp"))
    capi = Path(onnxruntime.__file__).parent / "capi"
    (library,) = capi.glob("libonnxruntime.so.*")
    # The library's own name is that of its first version.
    (dit / "libonnxruntime.so.1").symlink_to(library)
    linked = ["-std=c++17", "dit.cpp", "libonnxruntime.so.1", "-Wl,-rpath,$ORIGIN", "-o", "dit"]
    subprocess.run([COMPILER, *linked], cwd=dit, check=True)
    subprocess.run(["./dit"], cwd=dit, check=True)
    made = np.asarray(Image.open(dit / "dit.pgm")).astype(int)
    with adagen_rt.load("fashion-dit", threads=1) as runtime:
        images = runtime.generate([7, 9], [0, 1]).images
    assert np.abs(made - images.reshape(64, 32)).max() <= 1


#: What Node is asked, and what it answers: `failed`, or that it refuses.
BAD = """
async function asked(labels, seeds) {
  try {
    const made = await session.run({ labels, seeds });
    console.log(made.failed.data.join());
  } catch (error) {
    console.log("refused");
  }
}
const int64 = (...values) => new ort.Tensor("int64", BigInt64Array.from(values));
await asked(int64(10n, -1n, 3n, 4n), int64(1n, 2n, -3n, 4n));
await asked(new ort.Tensor("int32", Int32Array.from([3])), int64(1n));
await asked(new ort.Tensor("float32", Float32Array.from([NaN])), int64(1n));
await asked(int64(1n, 2n, 3n), int64(1n));
await asked(int64(1n), int64(1n, 2n));
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("npm") is None, reason="there is no npm")
def test_the_program_in_node_runs(dit):
    (dit / "try.mjs").write_text(program("js") + BAD)
    npm = ("npm", "install", "--silent", "--ignore-scripts", "onnxruntime-node")
    subprocess.run(npm, cwd=dit, check=True)
    done = subprocess.run(("node", "try.mjs"), cwd=dit, check=True, capture_output=True, text=True)
    answers = ["-1,-1,-1,0", *["refused"] * 4]
    assert done.stdout.splitlines() == [
        "[ 2, 32, 32, 1 ] BigInt64Array(2) [ 0n, 0n ]",
        *answers,
    ]


def session_of(path):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


LABELS, SEEDS = np.array([1, 2, 3]), np.array([4, 5, 6])
#: What a host gets wrong, and what ONNX Runtime says of it.
WRONG = {
    "labels of 32 bits": ({"labels": LABELS.astype(np.int32)}, "Unexpected input data type"),
    "labels with a fraction": ({"labels": LABELS + 0.5}, "Unexpected input data type"),
    "labels in a column": ({"labels": LABELS[:, None]}, "Invalid rank"),
    "seeds with a fraction": ({"seeds": SEEDS.astype(np.float32)}, "Unexpected input data type"),
    "seeds without a sign": ({"seeds": SEEDS.astype(np.uint64)}, "Unexpected input data type"),
    # Else one label would be that of all, or one seed's image would be made of many.
    "one label": ({"labels": LABELS[:1]}, "Non-zero status code"),
    "one seed": ({"seeds": SEEDS[:1]}, "Non-zero status code"),
    "a label too few": ({"labels": LABELS[:2]}, "Non-zero status code"),
    "one share": ({"fidelity": np.zeros(1, np.float32)}, "Non-zero status code"),
    "one number of steps": ({"steps": np.array([4])}, "Non-zero status code"),
}


@pytest.fixture(scope="module", params=["loop", "unrolled", "step"])
def first(request, judged_engine, tmp_path_factory):
    """The model that is asked, with all inputs, of each form."""
    out = tmp_path_factory.mktemp("form") / ("tiny" if request.param == "step" else "tiny.onnx")
    options = {"form": request.param, "fidelity_input": True, "steps_input": 6}
    write_bundle(open_engine(judged_engine), out, **options)
    return session_of(out / "start.onnx" if request.param == "step" else out)


def good():
    more = {"fidelity": np.zeros(3, np.float32), "steps": np.array([4, 4, 4])}
    return {"labels": LABELS.copy() % 3, "seeds": SEEDS.copy(), **more}


@pytest.mark.parametrize("case", WRONG)
def test_the_host_refuses_other_types_and_shapes(first, case):
    given, said = WRONG[case]
    with pytest.raises(Exception, match=said):
        first.run(None, good() | given)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("labels", [3, -1, 2**62]),
        ("seeds", [-1, -(2**63), -5]),
        ("fidelity", [np.nan, 1.01, -0.5]),
        ("steps", [0, 7, -3]),
    ],
)
def test_what_is_out_of_range_fails(first, name, values):
    names = [value.name for value in first.get_outputs()]
    place = next(i for i, one in enumerate(names) if one in ("failed", "next.failed"))
    for row, value in enumerate(values):
        feeds = good()
        feeds[name][row] = value
        failed = first.run(None, feeds)[place]
        assert [number != 0 for number in failed] == [at == row for at in range(3)]
        assert failed[row] == -1


def test_token_ids_of_another_length_are_refused(prompt_engine, tmp_path):
    engine = open_engine(prompt_engine("none"))
    write_bundle(engine, tmp_path / "one.onnx")
    session = session_of(tmp_path / "one.onnx")
    condition = engine.manifest.condition
    rows = condition.inputs(condition.parse(["a cat", "a dog"])) | {"seeds": np.arange(2)}
    assert not session.run(["failed"], rows)[0].any()
    for ids, said in (
        (rows["short_ids"][:, : SHORT - 1], "Got invalid dimensions"),
        (rows["short_ids"].astype(np.int32), "Unexpected input data type"),
        (rows["short_ids"][:1], "Non-zero status code"),
    ):
        with pytest.raises(Exception, match=said):
            session.run(None, rows | {"short_ids": ids})
