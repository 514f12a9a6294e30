import os

import pytest
from process import run_python

RUN = "from adagen_rt.cli import main; main([{}], standalone_mode=False)"
CASES = {
    "import": "import adagen_rt; adagen_rt.load; adagen_rt.Pipeline; adagen_rt.SamplingParams",
    "generate": RUN.format("'generate', '--engine', sys.argv[1], '--out', sys.argv[2]"),
    "inspect": RUN.format("'inspect', sys.argv[1]"),
    "bench": RUN.format("'bench', sys.argv[1], '--batch', '1', '--repeats', '1'"),
    "doctor": RUN.format("'doctor'"),
    "help": RUN.format("'--help'"),
}
POLICY_OPTIONS = ("--engine-recipe", "recipe.yaml", "--weights", "a", "--data", "b", "--out", "c")


@pytest.mark.parametrize("name", CASES)
def test_the_runtime_never_imports_torch(name, tiny_engine, tmp_path):
    code = f"import sys; {CASES[name]}; assert 'torch' not in sys.modules"
    done = run_python(code, tiny_engine, tmp_path / "out.png")
    assert done.returncode == 0, done.stderr


def test_building_plans_never_imports_torch(own_engine):
    pytest.importorskip("tensorrt_rtx")
    pytest.importorskip("onnx_ir")
    command = RUN.format("'build', sys.argv[1], '--backend', 'tensorrt-rtx', '--dtype', 'fp16'")
    done = run_python(f"import sys; {command}; assert 'torch' not in sys.modules", own_engine)
    assert done.returncode == 0, done.stderr


def test_the_training_half_names_its_extra_when_torch_is_missing(tmp_path):
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError('no torch', name='torch')\n")
    code = "from adagen_rt.cli import main; main()"
    commands = [
        ["export", "recipe.yaml", "--weights", "here", "--out", "there"],
        ["train", "generator", "--recipe", "recipe.yaml", "--data", "here", "--out", "there"],
        ["train", "policy", *POLICY_OPTIONS],
    ]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    for arguments in commands:
        done = run_python(code, *arguments, env=environment)
        assert done.returncode == 2
        assert "pip install 'adagen-rt[torch]'" in done.stderr
        assert done.stderr.count("\n") == 1
