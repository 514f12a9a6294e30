"""Bars are for people who wait."""

import sys
from pathlib import Path

import adagen_rt
from adagen_rt.progress import bar, silence


class Terminal:
    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text

    def flush(self):
        pass

    def isatty(self):
        return True


def show():
    with bar(total=2, unit="step") as progress:
        progress.update()


def test_a_log_gets_no_bar(capfd):
    show()
    assert capfd.readouterr().err == ""


def test_a_terminal_gets_one_unless_it_is_silenced(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    silence()
    try:
        show()
    finally:
        silence(False)
    assert terminal.text == ""
    show()
    assert "1/2" in terminal.text


def test_all_bars_are_made_in_one_place():
    package = Path(adagen_rt.__file__).parent
    users = [path.name for path in package.rglob("*.py") if "tqdm import" in path.read_text()]
    assert users == ["progress.py"]
