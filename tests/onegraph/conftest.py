import pytest

pytest.importorskip("onnx_ir", reason="needs the extra bundle")
