"""The page, in a real browser."""

import base64
import io
import re

import numpy as np
import pytest
from chromium import Chromium, find_chromium
from PIL import Image

pytest.importorskip("fastapi")

BROWSER = find_chromium()
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome is installed")


@pytest.fixture(scope="module")
def browser():
    with Chromium(BROWSER) as browser:
        yield browser


@pytest.fixture
def page(browser, service):
    browser.events.clear()
    browser.call("Page.navigate", url=f"http://127.0.0.1:{service.port}/")
    browser.wait("document.querySelector('#status')?.textContent === 'Ready.'")
    return browser


def shown(page, selector):
    """Pixels of every image that a selector finds."""
    sources = page.evaluate(f"[...document.querySelectorAll('{selector}')].map((i) => i.src)")
    texts = [source.removeprefix("data:image/png;base64,") for source in sources]
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(t))))[..., None] for t in texts]


def choose(page, **values):
    for name, value in values.items():
        page.evaluate(
            f"(() => {{ const node = document.getElementById('{name}'); node.value = '{value}';"
            "node.dispatchEvent(new Event('input')); })()"
        )


def generate(page):
    page.evaluate("document.getElementById('go').click()")
    page.wait("!document.getElementById('go').disabled")
    return page.evaluate("document.getElementById('status').textContent")


@needs_browser
def test_steps_image_and_schedule_appear(page, offline):
    choose(page, **{"class": 2, "seed": (1 << 63) - 1, "refine": 3, "fidelity": 0.5})
    assert generate(page) == "Done."
    expected = offline([2], [(1 << 63) - 1], refine=3, fidelity=0.5)
    np.testing.assert_array_equal(shown(page, "#final img")[0], expected.images[0])
    film = shown(page, "#film img")
    assert len(film) == 4
    np.testing.assert_array_equal(film[-1], expected.images[0])
    alt = page.evaluate("document.querySelector('#film img').alt")
    assert alt == "t-bar after step 1 of 4"
    for kind in ("chosen", "static"):
        counts = page.evaluate(
            f"[...document.querySelectorAll('#plots .{kind}')].map((l) => l.points.numberOfItems)"
        )
        assert counts == [4] * 4
    rows = page.evaluate(
        "[...document.querySelectorAll('#table tbody tr')]"
        ".map((row) => [...row.cells].map((cell) => cell.textContent))"
    )
    assert len(rows) == 8
    told = [float(cell) for cell in rows[0][1:]]
    np.testing.assert_allclose(told, expected.schedule["mask_ratio"][:, 0], rtol=0.01)
    assert page.complaints() == []


@needs_browser
def test_a_refusal_is_told(page):
    choose(page, seed=str(1 << 63))
    assert generate(page) == f"seed: got {1 << 63}, input should be less than {1 << 63}"


@needs_browser
def test_stop(browser, gated):
    service = gated()
    browser.call("Page.navigate", url=f"http://127.0.0.1:{service.port}/")
    browser.wait("document.querySelector('#status')?.textContent === 'Ready.'")
    service.gate.shut()
    browser.evaluate("document.getElementById('go').click()")
    browser.wait("document.querySelector('#status').textContent === 'Queued…'")
    browser.evaluate("document.getElementById('stop').click()")
    browser.wait("document.querySelector('#status').textContent === 'Stopped.'")
    service.gate.open()


@needs_browser
def test_everything_has_a_name(page):
    tree = page.call("Accessibility.getFullAXTree")["nodes"]
    controls = {"button", "combobox", "slider", "textbox", "spinbutton", "image", "region"}
    nameless = [
        node["role"]["value"]
        for node in tree
        if not node["ignored"]
        and node.get("role", {}).get("value") in controls
        and not node.get("name", {}).get("value")
    ]
    assert nameless == []


@needs_browser
def test_nothing_comes_from_elsewhere(page, service):
    generate(page)
    asked = {
        event["params"]["request"]["url"]
        for event in page.events
        if event["method"] == "Network.requestWillBeSent"
    }
    own = f"http://127.0.0.1:{service.port}/"
    assert {url for url in asked if not url.startswith("data:")} <= {
        own,
        f"{own}v1/models",
        f"{own}events",
    }


@needs_browser
@pytest.mark.parametrize("width", [320, 768, 1280])
def test_it_fits(page, width):
    page.call(
        "Emulation.setDeviceMetricsOverride",
        width=width,
        height=800,
        deviceScaleFactor=1,
        mobile=False,
    )
    generate(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_policy_of_the_page(service):
    answer = service.ask("GET", "/")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert not re.search(rb"""(src|href)=["'](?!data:)""", answer.body)
