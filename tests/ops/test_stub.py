"""The committed stub of the compiled module says what the module has."""

import ast
import re
from pathlib import Path

from adagen_rt import _kernels, ops

STUB = Path(ops.__file__).parents[1] / "_kernels.pyi"


def parameters_of(function):
    signature = function.__nb_signature__[0][0]
    return re.findall(r"(\w+): ", signature)


def test_stub_lists_every_function_and_parameter():
    stubs = {
        node.name: [argument.arg for argument in node.args.args]
        for node in ast.parse(STUB.read_text()).body
        if isinstance(node, ast.FunctionDef)
    }
    functions = {name: f for name, f in vars(_kernels).items() if callable(f)}
    functions = {n: f for n, f in functions.items() if not n.startswith("__")}
    assert stubs == {name: parameters_of(f) for name, f in functions.items()}
