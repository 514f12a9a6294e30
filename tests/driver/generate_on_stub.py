"""Generates with a shipped engine through cuda-python and the stub library, compares, prints."""

import gc
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import running_tensorrt
from stub_library import IMAGE, StubLibrary

import adagen_rt
from adagen_rt import cuda
from adagen_rt.backends.tensorrt import runtime
from adagen_rt.backends.tensorrt.build import build_plans
from adagen_rt.cuda import bindings_driver
from adagen_rt.engine.folder import open_engine

LABELS, SEEDS = [3, 0, 9], [5, 6, 2**63 - 1]


def main(library, engine, scratch):
    stub = StubLibrary(library)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bindings_driver, "kernel_image", lambda *capability: IMAGE)
        running_tensorrt.install(patch, driver=stub.host)
        open_driver = lambda **options: cuda.open_driver("cuda-python", **options)  # noqa: E731
        patch.setattr(runtime, "open_driver", open_driver)
        folder = shutil.copytree(open_engine(engine).path, Path(scratch) / engine)
        build_plans(open_engine(folder), "tensorrt", batches=(1, 2))
        pipeline = adagen_rt.load(folder, backend="tensorrt")
        pipeline.generate(LABELS, SEEDS)
        before = stub.calls["cuStreamSynchronize"]
        images = pipeline.generate(LABELS, SEEDS).images
        waits = stub.calls["cuStreamSynchronize"] - before
        pipeline.close()
    gc.collect()
    expected = adagen_rt.load(engine, threads=1).generate(LABELS, SEEDS).images
    report = {
        "difference": int(np.abs(images.astype(int) - expected).max()),
        "waits": waits,
        "memory": len(stub.host._memory),
        "graphs": len(stub.graphs),
        "faults": stub.faults,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:])
