"""The documentation builds as a site, on which every link leads somewhere."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import adagen_rt
from adagen_rt import errors, serving

ROOT = Path(__file__).parents[2]


class Page(HTMLParser):
    """Links of a page, and the places that links may lead to."""

    def __init__(self, path):
        super().__init__()
        self.links, self.places = set(), {""}
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.places |= {attributes[name] for name in ("id", "name") if attributes.get(name)}
        self.links |= {attributes[name] for name in ("href", "src") if attributes.get(name)}


def broken_links(site):
    """Links within a site that lead nowhere, each with the page that has it."""
    # The page for what is not found may be shown for any path, so its links begin at the root.
    paths = [path for path in site.rglob("*.html") if path.name != "404.html"]
    pages = {path.resolve(): Page(path) for path in paths}
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            name = unquote(parts.path)
            target = (path.parent / name).resolve() if name else path
            place = unquote(parts.fragment)
            if not target.exists() or (target in pages and place not in pages[target].places):
                yield f"{path.relative_to(site)}: {link}"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site; its tutorial has been run."""
    for module in ("mkdocs", "material", "mkdocstrings_handlers.python", "mkdocs_jupyter"):
        pytest.importorskip(module, reason="needs the extra docs")
    pytest.importorskip("matplotlib", reason="needs the extra plot")
    out = tmp_path_factory.mktemp("site").resolve()
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)]
    command += ["--config-file", str(ROOT / "mkdocs.yml")]
    environment = os.environ | {"IPYTHONDIR": str(tmp_path_factory.mktemp("ipython"))}
    done = subprocess.run(
        command, cwd=out, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return out


def test_it_builds_and_links_lead_somewhere(site):
    assert list(broken_links(site)) == []
    tutorial = (site / "docs/tutorial.html").read_text("utf-8")
    assert tutorial.count("data:image/png") >= 6
    reference = (site / "docs/api.html").read_text("utf-8")
    assert 'id="adagen_rt.load"' in reference
    assert "One integer from 0 to 2**63 - 1 for each image" in reference


def test_a_link_to_nowhere_is_found(tmp_path):
    (tmp_path / "a.html").write_text('<a href="b.html#here">b</a><a href="c.html">c</a>')
    (tmp_path / "b.html").write_text('<p id="there"><a href="a.html">a</a>')
    assert set(broken_links(tmp_path)) == {"a.html: b.html#here", "a.html: c.html"}


def test_reference_has_every_public_name():
    page = (ROOT / "docs/api.md").read_text("utf-8")
    shown = set(re.findall(r"^::: (\S+)$", page, re.M))
    names = {f"adagen_rt.{name}" for name in adagen_rt.__all__ if not hasattr(errors, name)}
    names |= {f"adagen_rt.serving.{name}" for name in serving.__all__}
    assert names | {"adagen_rt.errors"} == shown
    assert {name for name in adagen_rt.__all__ if hasattr(errors, name)} <= set(vars(errors))
