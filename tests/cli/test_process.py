"""The command as a user runs it: in a process of its own."""

from importlib import metadata

from process import run_python

CODE = "from adagen_rt.cli import main; main()"


def adagen(*arguments):
    return run_python(CODE, *arguments)


def test_generate(tiny_engine, tmp_path):
    done = adagen("generate", "--engine", tiny_engine, "--out", tmp_path / "a.png")
    assert done.returncode == 0
    assert (tmp_path / "a.png").is_file()
    # Not a terminal, so no progress bar.
    assert done.stderr == ""


def test_bad_input_is_one_line(tiny_engine, tmp_path):
    done = adagen("generate", "--engine", tiny_engine, "--label", 99, "--out", tmp_path / "a.png")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "Error: label: got 99, expected an integer from 0 to 2\n"
    assert not list(tmp_path.iterdir())


def test_version():
    assert metadata.version("adagen-rt") in adagen("--version").stdout


def test_commands_are_listed():
    listed = adagen("--help").stdout
    assert all(name in listed for name in ("generate", "inspect", "doctor", "export", "train"))
