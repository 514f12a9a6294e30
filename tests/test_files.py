"""Files and folders appear whole or not at all."""

import os
import signal
import stat

import pytest
from process import start_python

from adagen_rt.errors import InputError
from adagen_rt.files import (
    check_addable,
    check_target,
    check_writable,
    moving,
    replace_file,
    staged_files,
    staged_folder,
)

MARKER = "marker.json"
FULL = OSError(28, "No space left on device")


def snapshot(folder):
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


@pytest.fixture
def old(tmp_path):
    """A folder of an older run."""
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / MARKER).write_text("old")
    (folder / "weights").write_text("old")
    return folder


def die_after(writing, folder):
    """Run code that has `folder` and `staging`, and kill its process before it is done."""
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from adagen_rt.files import replace_file, staged_files, staged_folder\n"
        "folder = Path(sys.argv[1])\n"
        "def die(staging):\n"
        "    (staging / 'weights').write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        f"{writing}\n"
    )
    assert start_python(code, folder).wait(timeout=60) == -signal.SIGKILL


def failing(staging, error=FULL):
    (staging / "weights").write_text("half")
    raise error


def test_a_file_is_replaced(old):
    replace_file(old / "weights", lambda path: path.write_text("new"))
    assert snapshot(old) == {MARKER: "old", "weights": "new"}
    assert len(list(old.iterdir())) == 2


def test_a_file_appears_with_its_folder(tmp_path):
    replace_file(tmp_path / "a" / "b" / "file", lambda path: path.write_text("new"))
    assert (tmp_path / "a" / "b" / "file").read_text() == "new"


def test_a_file_that_cannot_be_finished_leaves_the_old_one(old):
    with pytest.raises(OSError, match="No space"):
        replace_file(old / "weights", lambda path: failing(path.parent))
    assert snapshot(old) == {MARKER: "old", "weights": "old"}
    assert len(list(old.iterdir())) == 2


def test_a_killed_writer_leaves_the_old_file(old):
    die_after("replace_file(folder / 'weights', lambda path: die(path.parent))", old)
    assert snapshot(old) == {MARKER: "old", "weights": "old"}


def test_several_files_move_together_beside_what_is_there(old):
    with staged_files(old) as staging:
        (staging / "weights").write_text("new")
        (staging / "log").write_text("new")
        assert snapshot(old) == {MARKER: "old", "weights": "old"}
    assert snapshot(old) == {MARKER: "old", "weights": "new", "log": "new"}
    assert len(list(old.iterdir())) == 3


def test_files_of_folders_move_into_folders_of_the_same_names(old):
    (old / "1").mkdir()
    (old / "1" / "mine").write_text("mine")
    with staged_files(old) as staging:
        for name in ("1", "2"):
            (staging / name).mkdir()
            (staging / name / "model").write_text("new")
    assert snapshot(old / "1") == {"mine": "mine", "model": "new"}
    assert snapshot(old / "2") == {"model": "new"}
    assert {path.name for path in old.iterdir()} == {MARKER, "weights", "1", "2"}


def test_several_files_that_cannot_be_finished_leave_the_old_ones(old):
    with pytest.raises(OSError, match="No space"), staged_files(old) as staging:
        failing(staging)
    assert snapshot(old) == {MARKER: "old", "weights": "old"}
    assert len(list(old.iterdir())) == 2


def test_a_writer_of_several_files_that_is_killed_leaves_the_old_ones(old):
    die_after("with staged_files(folder) as staging: die(staging)", old)
    assert snapshot(old) == {MARKER: "old", "weights": "old"}


def test_a_folder_takes_the_place_of_the_old_one(old):
    with staged_folder(old, MARKER) as staging:
        (staging / MARKER).write_text("new")
        assert snapshot(old) == {MARKER: "old", "weights": "old"}
    assert snapshot(old) == {MARKER: "new"}
    assert [path.name for path in old.parent.iterdir()] == ["out"]
    assert stat.S_IMODE(old.stat().st_mode) == 0o755


def test_a_folder_takes_its_place_where_two_cannot_be_swapped(old, monkeypatch):
    monkeypatch.setattr(moving, "_exchange", lambda one, other: False)
    with staged_folder(old, MARKER) as staging:
        (staging / MARKER).write_text("new")
    assert snapshot(old) == {MARKER: "new"}
    assert [path.name for path in old.parent.iterdir()] == ["out"]


def test_a_new_folder_appears_with_those_above_it(tmp_path):
    with staged_folder(tmp_path / "a" / "b", MARKER) as staging:
        (staging / MARKER).write_text("new")
    assert snapshot(tmp_path / "a" / "b") == {MARKER: "new"}


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "out").mkdir()
    with staged_folder(tmp_path / "out", MARKER) as staging:
        (staging / MARKER).write_text("new")
    assert snapshot(tmp_path / "out") == {MARKER: "new"}


def test_a_folder_that_cannot_be_finished_leaves_the_old_one(old):
    with pytest.raises(OSError, match="No space"), staged_folder(old, MARKER) as staging:
        failing(staging)
    assert snapshot(old) == {MARKER: "old", "weights": "old"}
    assert [path.name for path in old.parent.iterdir()] == ["out"]


def test_a_killed_writer_leaves_the_old_folder(old):
    die_after(f"with staged_folder(folder, {MARKER!r}) as staging: die(staging)", old)
    assert snapshot(old) == {MARKER: "old", "weights": "old"}


def test_an_interruption_by_hand_leaves_nothing_behind(old):
    with pytest.raises(KeyboardInterrupt), staged_folder(old, MARKER) as staging:
        failing(staging, KeyboardInterrupt())
    assert snapshot(old) == {MARKER: "old", "weights": "old"}
    assert [path.name for path in old.parent.iterdir()] == ["out"]


@pytest.mark.parametrize("there", ["file", "folder"])
def test_what_is_something_else_is_not_replaced(tmp_path, there):
    target = tmp_path / "out"
    target.mkdir() if there == "folder" else target.write_text("text")
    if there == "folder":
        (target / "thesis.tex").write_text("years of work")
    expected = f"out: got '.*', expected a new folder, or one that has a {MARKER}"
    with pytest.raises(InputError, match=expected):
        check_target(target, MARKER)
    with pytest.raises(InputError, match=expected), staged_folder(target, MARKER):
        raise AssertionError("the block must not run")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_files_are_added_where_there_are_folders_alone(tmp_path):
    """A writer that failed leaves such, which must not keep the next one out."""
    target = tmp_path / "model"
    check_addable(target, MARKER, "triton")
    (target / "1" / "empty").mkdir(parents=True)
    check_addable(target, MARKER, "triton")
    (target / "1" / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match=f"triton: got '.*', expected .* that has a {MARKER}"):
        check_addable(target, MARKER, "triton")
    (target / MARKER).write_text("")
    check_addable(target, MARKER, "triton")


def test_a_place_that_can_be_written(tmp_path):
    check_writable("out", tmp_path / "file")
    check_writable("out", tmp_path / "a" / "b" / "file")
    check_writable("out", tmp_path, folder=True)
    check_writable("out", tmp_path / "a" / "b", folder=True)


def test_a_file_is_no_folder_and_a_folder_no_file(tmp_path):
    (tmp_path / "file").write_text("text")
    with pytest.raises(InputError, match=r"out: got '.*', expected a file, but this is a folder"):
        check_writable("out", tmp_path)
    with pytest.raises(InputError, match=r"out: got '.*', expected a folder, but this is a file"):
        check_writable("out", tmp_path / "file", folder=True)
    for folder in (False, True):
        with pytest.raises(InputError, match=r"expected a place to write, but .*file is none"):
            check_writable("out", tmp_path / "file" / "below", folder=folder)


def test_a_place_where_nobody_may_write(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(InputError, match="expected a place to write"):
        check_writable("out", tmp_path / "file")
    with pytest.raises(InputError, match="expected a place to write"):
        check_writable("out", tmp_path, folder=True)


@pytest.mark.parametrize(("umask", "expected"), [(0o022, 0o644), (0o027, 0o640)])
def test_new_files_have_the_usual_permissions(tmp_path, umask, expected):
    """Some libraries write files that nobody but their owner may read."""

    def write(path):
        path.touch(mode=0o600)

    before = os.umask(umask)
    try:
        replace_file(tmp_path / "file", write)
        with staged_folder(tmp_path / "folder", "marker") as staging:
            write(staging / "marker")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == expected
    assert (tmp_path / "folder" / "marker").stat().st_mode & 0o777 == expected
    assert (tmp_path / "folder").stat().st_mode & 0o777 == expected | (expected & 0o444) >> 2
