"""The static page: what is written, and what a real browser makes of it."""

import json
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import pytest
from chromium import Chromium, find_chromium
from once import shared_folder

pytest.importorskip("onnx_ir", reason="needs the extra bundle")

import adagen_rt
from adagen_rt.engine.folder import open_engine
from adagen_rt.errors import InputError
from adagen_rt.npm import fetch
from adagen_rt.onegraph.web import PAGE, RUNTIME, RUNTIME_FILES, write_web
from adagen_rt.sampling.params import SamplingParams

LAST_SEED = (1 << 63) - 1


@pytest.fixture
def runtime(tmp_path):
    """A folder with files of the runtime's names."""
    folder = tmp_path / "runtime"
    folder.mkdir()
    for name in RUNTIME_FILES:
        (folder / name).write_text(name)
    return folder


def test_the_folder_has_all_that_the_page_needs(tmp_path, run, runtime):
    web = tmp_path / "web"
    done = run("bundle", "fashion-sit", "--web", web, "--runtime", runtime, "--fidelity-input")
    assert done.exit_code == 0, done.output
    expected = {*PAGE, *RUNTIME_FILES, "model.onnx", "model.json"}
    assert {path.name for path in web.iterdir()} == expected
    facts = json.loads((web / "model.json").read_text(encoding="utf-8"))
    assert facts["actions"] == ["time", "guidance_scale"]
    assert facts["classes"][9] == "ankle-boot"
    assert facts["fidelity_input"]
    for name in PAGE:
        assert "http:" not in (web / name).read_text().replace("http://www.w3.org/2000/svg", "")
    assert run("bundle", "fashion-sit", "--web", web, "--runtime", runtime).exit_code == 0


def test_what_cannot_be_written_is_said_first(tmp_path, run, runtime):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "index.html").write_text("mine")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "onnxruntime-web-1.30.0.tgz").write_bytes(b"no archive")
    cases = {
        "a new folder": ("--web", tmp_path / "mine", "--runtime", runtime),
        "onnxruntime-web-1.30.0.tgz": ("--web", tmp_path / "web", "--runtime", tmp_path / "mine"),
        "a whole archive": ("--web", tmp_path / "web", "--runtime", broken),
        "--runtime needs --web": ("--out", tmp_path / "one.onnx", "--runtime", runtime),
    }
    for expected, arguments in cases.items():
        done = run("bundle", "fashion-sit", *arguments)
        assert (done.exit_code, expected in done.stderr) == (2, True), done.output
    assert (tmp_path / "mine" / "index.html").read_text() == "mine"
    assert not (tmp_path / "web").exists()


def test_what_no_browser_loads_is_refused_first(tmp_path, refuse, monkeypatch):
    monkeypatch.setattr("adagen_rt.onegraph.web.LARGEST", 1_000_000)
    monkeypatch.setattr("adagen_rt.onegraph.web.fetch", lambda *_: pytest.fail("npm is asked"))
    said = refuse("bundle", "fashion-sit", "--web", tmp_path / "web")
    assert "web: got 'fashion-sit of 0.01 GB', expected at most 0.001 GB" in said
    assert not (tmp_path / "web").exists()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Address of a page of fashion-sit."""
    folder = shared_folder(tmp_path_factory) / "npm"
    try:
        fetch(folder, RUNTIME, "--runtime")
    except InputError as error:
        pytest.skip(str(error))
    web = tmp_path_factory.mktemp("web") / "page"
    write_web(open_engine("fashion-sit"), web, SamplingParams(), runtime=folder)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=web)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.mark.skipif(find_chromium() is None, reason="no Chromium or Chrome is installed")
def test_the_browser_makes_the_engine_s_images(served):
    pipeline = adagen_rt.load("fashion-sit", threads=1)
    with Chromium(find_chromium()) as browser:
        browser.call("Page.navigate", url=served)
        browser.wait("document.getElementById('status')?.textContent === 'Ready.'")
        for label, seed in ((7, 123), (0, LAST_SEED)):
            got = _generate(browser, label, seed)
            want = pipeline.generate([label], [seed]).images[0, ..., 0].astype(int)
            assert np.abs(got - want).max() <= 1
        assert browser.evaluate("document.querySelectorAll('#plots svg').length") == 2
        assert "seed 9223372036854775807" in browser.evaluate("document.body.innerText")
        browser.evaluate("document.getElementById('seed').value = '-1'")
        browser.evaluate("document.getElementById('go').click()")
        assert "expected a whole number" in browser.evaluate("document.body.innerText")
        _check_what_there_is_not(browser)
        assert not browser.complaints()


def _check_what_there_is_not(browser):
    """A page of others may tell the worker anything."""
    browser.evaluate("globalThis.other = new Worker('worker.js', { type: 'module' });")
    said = "(other.onmessage = ({ data }) => { if (!data.ready) globalThis.said = data; })"
    browser.evaluate(f"{said} && 0")
    cases = {
        "labels: [10, -1, 3, 4], seeds: [1n, 2n, -3n, 4n]": "-1,-1,-1,0",
        "labels: [NaN], seeds: [1n]": "The model failed",
        "labels: [1.5], seeds: [1n]": "The model failed",
        "labels: [1], seeds: [1]": "The model failed",
        "labels: [1, 2, 3], seeds: [1n]": "The model failed",
    }
    for asked, expected in cases.items():
        browser.evaluate(f"globalThis.said = null; other.postMessage({{ {asked} }})")
        browser.wait("globalThis.said !== null")
        answer = browser.evaluate("said.error ?? [...said.failed].join()")
        assert answer.startswith(expected), (asked, answer)


def _generate(browser, label, seed):
    browser.evaluate(
        f"document.getElementById('label').value = '{label}';"
        f"document.getElementById('seed').value = '{seed}';"
        "document.getElementById('go').click()"
    )
    browser.wait("document.getElementById('status').textContent.startsWith('Done')")
    pixels = browser.evaluate(
        "(() => { const c = document.getElementById('image');"
        "return [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]; })()"
    )
    return np.array(pixels).reshape(32, 32, 4)[..., 0]
