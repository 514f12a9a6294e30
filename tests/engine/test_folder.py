import os
import shutil
import signal
from pathlib import Path

import pytest
from manifests import edit_manifest
from process import start_python
from tiny_engine import STD, Options, build_tiny_engine

from adagen_rt.engine.folder import find_engine, open_engine, shipped_engines, staged_engine
from adagen_rt.errors import EngineError, InputError

TESTS = Path(__file__).parents[1]


def snapshot(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def child(code, *arguments):
    return start_python(code, *arguments, env={**os.environ, "PYTHONPATH": str(TESTS)})


def test_an_intact_engine_opens(tiny_engine):
    engine = open_engine(tiny_engine)
    assert engine.manifest.name == "tiny"
    assert engine.graph_file("backbone").is_file()


def test_shipped_engines_are_found_by_name():
    for name, folder in shipped_engines().items():
        assert find_engine(name) == folder


def test_an_unknown_engine_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no-such-engine.*expected"):
        open_engine("no-such-engine")
    with pytest.raises(InputError, match=r"manifest\.json"):
        open_engine(tmp_path)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda m: m.update(colour="red"), "colour"),
        (lambda m: m["image"].update(depth=3), r"image\.depth"),
        (lambda m: m.update(format=2), r"format: got 2, expected at most 1"),
        (lambda m: m.pop("family"), "family"),
        (lambda m: m["family"].pop("family"), "family: got 'None', expected one of maskgit, var"),
        (lambda m: m["family"].update(family="gan"), "family: got 'gan', expected one of maskgit"),
        (lambda m: m["family"].update(family=[]), r"family: got '\[\]', expected one of maskgit"),
        (lambda m: m["family"].update(tokens=0), r"family: tokens: .*, got 0"),
        (lambda m: m["graphs"].pop("decoder"), "decoder"),
        (lambda m: m["graphs"]["backbone"]["outputs"].pop(0), r"outputs: missing logits"),
        (lambda m: m["graphs"].update(judge=m["graphs"]["policy"]), r"graphs\.judge"),
        (lambda m: m["graphs"].update(critic=m["graphs"]["policy"]), r"critic\.outputs: missing v"),
        (lambda m: m.update(refinement_std=0), "refinement_std"),
        (lambda m: m["graphs"]["decoder"]["inputs"][0].update(name="z"), r"nobody feeds z"),
        (lambda m: m["graphs"]["decoder"]["inputs"].clear(), r"decoder\.onnx: inputs: got tokens"),
        (lambda m: m["files"].pop("backbone.onnx"), r"backbone\.file"),
        (lambda m: m["graphs"]["backbone"].update(file="../b.onnx"), r"graphs\.backbone\.file"),
        (lambda m: m["files"].update({"/etc/passwd": "0" * 64}), r"files"),
        (lambda m: m.update(class_names=["one"]), "class_names"),
        (lambda m: m.update(class_count=0), "class_count"),
        (lambda m: m.pop("class_count"), "condition: Field required"),
        (lambda m: m["schedule"].update(steps=10**9), r"schedule\.steps"),
    ],
)
def test_a_wrong_manifest_names_the_field(own_engine, change, named):
    edit_manifest(own_engine, change)
    with pytest.raises(EngineError, match=named):
        open_engine(own_engine)


def test_an_engine_with_a_critic_says_how_far_candidates_go(judged_engine, tmp_path):
    folder = shutil.copytree(judged_engine, tmp_path / "engine")
    assert open_engine(folder).manifest.refinement_std == STD
    edit_manifest(folder, lambda m: m.pop("refinement_std"))
    with pytest.raises(EngineError, match="refinement_std: missing"):
        open_engine(folder)


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[" * 100_000, b"[]", b"null", b""])
def test_a_manifest_that_is_none_is_refused(own_engine, content):
    (own_engine / "manifest.json").write_bytes(content)
    with pytest.raises(EngineError, match=r"manifest\.json"):
        open_engine(own_engine)


def test_a_huge_manifest_is_not_read(own_engine):
    (own_engine / "manifest.json").write_bytes(b" " * (2 << 20))
    with pytest.raises(EngineError, match="larger"):
        open_engine(own_engine)


def test_an_altered_file_is_refused(own_engine):
    with (own_engine / "backbone.onnx").open("r+b") as file:
        file.seek(100)
        file.write(b"\0")
    with pytest.raises(EngineError, match=r"backbone\.onnx: SHA-256"):
        open_engine(own_engine)


def test_a_missing_file_is_refused(own_engine):
    (own_engine / "policy.onnx").unlink()
    with pytest.raises(EngineError, match=r"policy\.onnx"):
        open_engine(own_engine)


def test_a_symlink_is_refused(own_engine, tmp_path):
    (own_engine / "policy.onnx").rename(tmp_path / "elsewhere")
    (own_engine / "policy.onnx").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(EngineError, match=r"policy\.onnx: a link .*copy without links: cp -rL"):
        open_engine(own_engine)


def test_links_inside_the_folder_are_those_of_a_kubernetes_volume(own_engine):
    inside = own_engine / "..2024_01"
    inside.mkdir()
    (own_engine / "..data").symlink_to(inside.name)
    for path in [path for path in own_engine.iterdir() if path.is_file()]:
        path.rename(inside / path.name)
        path.symlink_to(f"..data/{path.name}")
    assert open_engine(own_engine).path == own_engine


def fail_half_way(folder):
    with staged_engine(folder) as staging:
        (staging / "backbone.onnx").write_bytes(b"half")
        raise RuntimeError("disk full")


def test_an_error_while_writing_leaves_the_old_engine(own_engine):
    before = snapshot(own_engine)
    with pytest.raises(RuntimeError, match="disk"):
        fail_half_way(own_engine)
    assert snapshot(own_engine) == before
    assert [path.name for path in own_engine.parent.iterdir()] == [own_engine.name]


def test_a_finished_engine_replaces_the_old_one(own_engine):
    build_tiny_engine(own_engine, Options(seed=1, policy=False))
    assert "policy" not in open_engine(own_engine).manifest.graphs
    assert not (own_engine / "policy.onnx").exists()
    assert [path.name for path in own_engine.parent.iterdir()] == [own_engine.name]


def test_a_folder_of_other_things_is_not_replaced(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="out"):
        build_tiny_engine(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_is_not_replaced_by_a_folder(tmp_path):
    (tmp_path / "file").write_text("text")
    with pytest.raises(InputError, match="out"):
        build_tiny_engine(tmp_path / "file")


def test_a_killed_writer_leaves_the_old_engine(own_engine):
    before = snapshot(own_engine)
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from adagen_rt.engine.folder import staged_engine\n"
        "with staged_engine(Path(sys.argv[1])) as staging:\n"
        "    (staging / 'backbone.onnx').write_bytes(b'half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert child(code, own_engine).wait(timeout=60) == -signal.SIGKILL
    assert snapshot(own_engine) == before
    open_engine(own_engine)


def test_two_writers_leave_one_intact_engine(tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from tiny_engine import Options, build_tiny_engine\n"
        "for _ in range(20):\n"
        "    build_tiny_engine(Path(sys.argv[1]), Options(seed=int(sys.argv[2])))\n"
    )
    folder = tmp_path / "engine"
    build_tiny_engine(folder)
    writers = [child(code, folder, seed) for seed in (1, 2)]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0]
    open_engine(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["engine"]
