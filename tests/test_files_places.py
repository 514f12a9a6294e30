"""Where an output can lie: links, mounts, layers, devices, one's own folder, beside leftovers."""

import errno
import os
import stat
import subprocess
import threading
from pathlib import Path

import pytest
from process import start_python

from adagen_rt.errors import InputError
from adagen_rt.files import check_target, check_writable, replace_file, staged_files, staged_folder
from adagen_rt.files.leftovers import temporary_folder

MARKER = "marker.json"


def text(content):
    return lambda path: path.write_text(content)


def fill(target, content="new", names=("weights", MARKER)):
    with staged_folder(target, MARKER) as staging:
        for name in names:
            (staging / name).write_text(content)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def old(tmp_path):
    """An older folder with a file that the new one lacks, in a subfolder too."""
    folder = tmp_path / "out"
    (folder / "plans").mkdir(parents=True)
    for name in (MARKER, "weights", "more", "plans/plan"):
        (folder / name).write_text("old")
    return folder


def assert_new(folder):
    assert names(folder) == [MARKER, "weights"]
    assert {(folder / name).read_text() for name in names(folder)} == {"new"}


# Links


def test_a_linked_file_is_written_and_stays_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "image.png").write_text("old")
    (tmp_path / "out.png").symlink_to("real/image.png")
    replace_file(tmp_path / "out.png", text("new"))
    assert (tmp_path / "out.png").is_symlink()
    assert (tmp_path / "real" / "image.png").read_text() == "new"
    assert names(tmp_path) == ["out.png", "real"]


def test_a_link_to_nothing_yet_is_followed(tmp_path):
    for link, target in (("file", "far/file"), ("folder", "far/folder"), ("run", "far/run")):
        (tmp_path / link).symlink_to(target)
    replace_file(tmp_path / "file", text("new"))
    fill(tmp_path / "folder")
    with staged_files(tmp_path / "run") as staging:
        (staging / "image").write_text("new")
    assert (tmp_path / "far" / "file").read_text() == "new"
    assert_new(tmp_path / "far" / "folder")
    assert (tmp_path / "far" / "run" / "image").read_text() == "new"


def test_a_linked_folder_is_replaced_and_stays_a_link(tmp_path, old):
    (tmp_path / "link").symlink_to("out")
    fill(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert_new(old)


def test_a_hard_link_keeps_the_old_content(tmp_path):
    (tmp_path / "file").write_text("old")
    os.link(tmp_path / "file", tmp_path / "snapshot")
    replace_file(tmp_path / "file", text("new"))
    assert (tmp_path / "snapshot").read_text() == "old"


# The folder that one is in


@pytest.mark.parametrize("spelling", [".", "../out", "./"])
def test_ones_own_folder_is_filled_and_stays(old, monkeypatch, spelling):
    monkeypatch.chdir(old)
    before = old.stat().st_ino
    fill(Path(spelling))
    assert_new(Path())
    assert old.stat().st_ino == before


def test_a_folder_above_ones_own_stays(old, monkeypatch):
    (old / "deep").mkdir()
    monkeypatch.chdir(old / "deep")
    before = old.stat().st_ino
    fill(old)
    assert_new(old)
    assert old.stat().st_ino == before


# Mounts and layers


def refusing(monkeypatch, number, names=("rename", "replace")):
    """Have every rename fail as it does across mounts, or in an image's lower layers."""

    def fail(self, target):
        raise OSError(number, os.strerror(number), str(self))

    for name in names:
        monkeypatch.setattr(Path, name, fail)
    monkeypatch.setattr("adagen_rt.files.moving._exchange", lambda one, other: False)


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EBUSY, errno.EINVAL, errno.EPERM])
def test_where_nothing_can_be_renamed_contents_are_copied(old, monkeypatch, number):
    refusing(monkeypatch, number)
    before = old.stat().st_ino
    fill(old)
    assert_new(old)
    assert old.stat().st_ino == before
    assert names(old.parent) == ["out"]


def test_an_older_folder_of_a_lower_layer_cannot_be_moved_away(old, monkeypatch):
    rename = Path.rename

    def layered(self, target):
        if self == old:
            raise OSError(errno.EXDEV, "Invalid cross-device link", str(self))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", layered)
    monkeypatch.setattr("adagen_rt.files.moving._exchange", lambda one, other: False)
    fill(old)
    assert_new(old)
    assert names(old.parent) == ["out"]


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EBUSY])
def test_a_file_that_is_mounted_is_written_into(tmp_path, monkeypatch, number):
    target = tmp_path / "out.png"
    target.write_text("older and longer")
    refusing(monkeypatch, number)
    before = target.stat().st_ino
    replace_file(target, text("new"))
    assert (target.read_text(), target.stat().st_ino) == ("new", before)
    with staged_files(tmp_path) as staging:
        (staging / "out.png").write_text("newer")
    assert target.read_text() == "newer"
    assert names(tmp_path) == ["out.png"]


def test_a_mounted_folder_is_filled_from_within(old, monkeypatch):
    monkeypatch.setattr(Path, "is_mount", lambda self: self == old)
    before = old.stat().st_ino
    with staged_folder(old, MARKER) as staging:
        assert staging.parent == old
        (staging / "weights").write_text("new")
        (staging / "plans").mkdir()
        (staging / "plans" / "other").write_text("new")
        (staging / MARKER).write_text("new")
    assert names(old) == [MARKER, "plans", "weights"]
    assert names(old / "plans") == ["other"]
    assert old.stat().st_ino == before


def test_a_fresh_volume_counts_as_empty(tmp_path, monkeypatch):
    volume = tmp_path / "volume"
    (volume / "lost+found").mkdir(parents=True)
    check_target(volume, MARKER)
    monkeypatch.setattr(Path, "is_mount", lambda self: self == volume)
    fill(volume)
    assert names(volume) == ["lost+found", MARKER, "weights"]


def test_a_folder_whose_parent_may_not_be_changed_is_filled(old, monkeypatch):
    access = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: Path(path) != old.parent and access(path, mode)
    )
    check_target(old, MARKER)
    before = old.stat().st_ino
    fill(old)
    assert_new(old)
    assert old.stat().st_ino == before
    check_writable("out", old / "file")
    with pytest.raises(InputError, match="expected a place to write"):
        check_writable("out", old.parent / "file")


def test_a_file_beside_which_nothing_can_be_put_is_written_into(old, monkeypatch):
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != old and access(path, mode))
    check_writable("out", old / "weights")
    replace_file(old / "weights", text("new"))
    assert (old / "weights").read_text() == "new"
    assert names(old) == [MARKER, "more", "plans", "weights"]


def test_work_that_cannot_be_put_in_its_place_is_kept_and_named(old, monkeypatch):
    def full(self, target):
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    monkeypatch.setattr("adagen_rt.files.moving._swap", lambda source, target: False)
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match=r"No space .*; what was made is in .*\.kept-") as caught:
        fill(old)
    assert caught.value.filename == str(old)
    monkeypatch.undo()
    kept = Path(caught.value.strerror.rpartition(" is in ")[2])
    assert names(kept) == [MARKER, "weights"]
    fill(old)  # the next writer leaves it alone
    assert kept.is_dir()


# Devices and pipes


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="needs a system with devices")
def test_a_device_stays_a_device():
    check_writable("out", Path("/dev/null"))
    replace_file(Path("/dev/null"), text("new"))
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes in the file system")
def test_a_pipe_is_written_into(tmp_path):
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    replace_file(pipe, text("new"))
    reader.join(timeout=30)
    assert read == ["new"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert names(tmp_path) == ["pipe"]


# Leftovers of killed writers

WRITER = """
import sys, time
from pathlib import Path
from adagen_rt.files import staged_files, staged_folder
target = Path(sys.argv[1])
with staged_folder(target / "engine", "marker.json") as one, staged_files(target / "run") as two:
    (one / "half").write_text("half")
    (two / "half").write_text("half")
    print("there", flush=True)
    sys.stdin.read()
"""


def leftovers(folder):
    return [path for path in folder.rglob(".*") if "adagen-" in path.name]


def test_the_next_writer_removes_what_a_killed_one_left_and_no_live_ones(tmp_path):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    writers = [start_python(WRITER, tmp_path, **pipes) for _ in range(2)]
    try:
        assert [writer.stdout.readline() for writer in writers] == ["there\n"] * 2
        assert len(leftovers(tmp_path)) == 4
        writers[0].kill()
        writers[0].wait()
        fill(tmp_path / "engine")
        with staged_files(tmp_path / "run") as staging:
            (staging / "image").write_text("new")
        assert len(leftovers(tmp_path)) == 2
        writers[1].kill()
        writers[1].wait()
        fill(tmp_path / "engine")
        replace_file(tmp_path / "run" / "image", text("newer"))
        assert leftovers(tmp_path) == []
        assert_new(tmp_path / "engine")
    finally:
        for writer in writers:
            writer.kill()
            with writer:  # closes its pipes
                pass


def test_leftovers_of_other_users_stay(tmp_path, monkeypatch):
    (tmp_path / ".adagen-abc_1234").mkdir()

    def refuse(path, *flags, **options):
        if Path(path).name == ".adagen-abc_1234":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *flags, **options)

    opened = os.open
    monkeypatch.setattr("adagen_rt.files.leftovers.os.open", refuse)
    with temporary_folder(tmp_path):
        assert len(leftovers(tmp_path)) == 2
    assert leftovers(tmp_path) == [tmp_path / ".adagen-abc_1234"]


def test_a_place_that_takes_nothing_is_named(tmp_path, monkeypatch):
    """Permissions of networks' file systems show only where something is made."""

    def refuse(prefix, dir):
        raise PermissionError(errno.EACCES, "Permission denied", f"{dir}/{prefix}abcdefgh")

    monkeypatch.setattr("adagen_rt.files.leftovers.tempfile.mkdtemp", refuse)
    with pytest.raises(PermissionError) as caught:
        replace_file(tmp_path / "a", text("new"))
    assert caught.value.filename == str(tmp_path)


def test_a_leftover_within_is_no_content(tmp_path):
    (tmp_path / "out" / ".adagen-abc_1234").mkdir(parents=True)
    fill(tmp_path / "out")
    assert_new(tmp_path / "out")


def test_what_others_made_is_no_leftover(tmp_path):
    others = [".out.original", ".out.adagen-12345678.bak", ".adagen-x", ".adagen-ABCDEFGH"]
    for name in others:
        (tmp_path / name).mkdir()
    (tmp_path / ".adagen-abcdefgh").write_text("a file")
    fill(tmp_path / "out")
    with temporary_folder(tmp_path):
        pass
    assert set(others) < set(names(tmp_path))
    assert (tmp_path / ".adagen-abcdefgh").is_file()
