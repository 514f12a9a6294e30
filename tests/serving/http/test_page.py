"""The page, in a real browser."""

import base64
import io
import re

import numpy as np
import pytest
from chromium import Chromium, find_chromium
from http_server import running
from PIL import Image

pytest.importorskip("fastapi")

BROWSER = find_chromium()
GO = "document.getElementById('go')"
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
    page.evaluate(f"{GO}.click()")
    page.wait(f"{GO}.getAttribute('aria-disabled') === 'false'")
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
        f"{own}v2/health/ready",
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


@needs_browser
def test_the_static_schedules_image_is_beside_it(page, offline):
    choose(page, **{"class": 1, "seed": 11})
    assert generate(page) == "Done."
    np.testing.assert_array_equal(shown(page, "#final img")[0], offline([1], [11]).images[0])
    static = offline([1], [11], schedule="static").images[0]
    np.testing.assert_array_equal(shown(page, "#final-static img")[0], static)
    page.evaluate("document.getElementById('compare').click()")
    assert generate(page) == "Done."
    assert shown(page, "#final-static img") == []
    assert page.evaluate("document.getElementById('static-figure').hidden")
    page.evaluate("document.getElementById('compare').click()")


@needs_browser
def test_several_images_steps_and_best_of(page, offline):
    choose(page, **{"class": 0, "seed": 5, "count": 3, "steps": 6, "best_of": 2})
    assert generate(page) == "Done."
    options = {"steps": 6, "best_of": 2}
    made = offline([0] * 3, [5, 6, 7], **options).images
    static = offline([0] * 3, [5, 6, 7], schedule="static", **options).images
    expected = [image for pair in zip(made, static, strict=True) for image in pair]
    np.testing.assert_array_equal(shown(page, "#gallery img"), expected)
    assert len(shown(page, "#film img")) == 6
    files = page.evaluate("[...document.querySelectorAll('#gallery a')].map((a) => a.download)")
    assert len(files) == len(set(files)) == 6
    assert all(re.fullmatch(r"tiny-circle-[0-9]+(-static)?\.png", name) for name in files)
    choose(page, count=1, steps="", best_of=1)


@needs_browser
def test_a_link_repeats_the_image(page, service):
    choose(page, **{"class": 2, "seed": (1 << 63) - 1, "refine": 3, "steps": 5})
    assert generate(page) == "Done."
    before = shown(page, "#final img")[0]
    link = page.evaluate("document.getElementById('link').href")
    assert not page.evaluate("document.getElementById('link').hidden")
    page.call("Page.navigate", url="about:blank")
    page.call("Page.navigate", url=link)
    page.wait("document.querySelector('#status')?.textContent === 'Ready.'")
    assert generate(page) == "Done."
    np.testing.assert_array_equal(shown(page, "#final img")[0], before)


@needs_browser
def test_engines_that_are_warm_later_come_into_the_list(browser, service):
    from types import SimpleNamespace

    from adagen_rt.serving.http import Fleet, create_app
    from adagen_rt.serving.http.metrics import Metrics

    fleet = Fleet(["tiny", "later"])
    fleet.add(service.engine)
    later = SimpleNamespace(name="later", manifest=service.engine.manifest, alive=True, stalled=0)
    options = "[...document.getElementById('engine').options].map((o) => o.value).join()"
    with running(create_app(fleet, metrics=Metrics())) as port:
        browser.call("Page.navigate", url=f"http://127.0.0.1:{port}/")
        browser.wait("document.querySelector('#status')?.textContent.includes('More engines')")
        assert browser.evaluate(options) == "tiny"
        fleet.add(later)
        browser.wait("document.querySelector('#status').textContent === 'Ready.'")
        assert browser.evaluate(options) == "tiny,later"
        assert browser.evaluate("document.getElementById('engine').value") == "tiny"


@needs_browser
def test_a_token_is_asked_for_and_remembered(browser, service):
    from adagen_rt.serving.http import Settings, create_app

    text = "document.querySelector('#status')?.textContent"
    enter = (
        "(() => { const node = document.getElementById('token'); node.value = '%s';"
        "node.dispatchEvent(new Event('change')); })()"
    )
    with running(create_app(service.fleet, Settings(token="open-sesame"))) as port:
        browser.call("Page.navigate", url=f"http://127.0.0.1:{port}/")
        browser.wait(f"{text} === 'This server asks for an access token.'")
        browser.evaluate(enter % "wrong")
        browser.wait(f"{text} === 'This is not the server\\'s access token.'")
        browser.evaluate(enter % "open-sesame")
        browser.wait(f"{text} === 'Ready.'")
        browser.call("Page.reload")
        browser.wait(f"{text} === 'Ready.'")
        assert generate(browser) == "Done."
        browser.evaluate(enter % "")
        browser.wait(f"{text} === 'This server asks for an access token.'")
        assert browser.evaluate("localStorage.length") == 0


@needs_browser
def test_a_server_that_is_gone_is_told_in_words(browser, service):
    from adagen_rt.serving.http import create_app

    with running(create_app(service.fleet)) as port:
        browser.call("Page.navigate", url=f"http://127.0.0.1:{port}/")
        browser.wait("document.querySelector('#status')?.textContent === 'Ready.'")
    assert generate(browser) == "The server cannot be reached. Is it still running?"


@needs_browser
def test_the_focus_stays_where_it_was(page):
    page.evaluate(f"{GO}.focus()")
    assert generate(page) == "Done."
    assert page.evaluate("document.activeElement.id") == "go"


@needs_browser
def test_another_engine_ends_the_run(browser, gated):
    service = gated()
    browser.call("Page.navigate", url=f"http://127.0.0.1:{service.port}/")
    browser.wait("document.querySelector('#status')?.textContent === 'Ready.'")
    service.gate.shut()
    browser.evaluate(f"{GO}.click()")
    browser.wait("document.querySelector('#status').textContent === 'Queued…'")
    browser.evaluate("document.getElementById('engine').dispatchEvent(new Event('change'))")
    browser.wait("document.querySelector('#status').textContent === 'Stopped.'")
    service.gate.open()
    assert shown(browser, "#final img, #film img, #final-static img") == []


@needs_browser
def test_on_a_phone_the_image_comes_into_view(page):
    page.call(
        "Emulation.setDeviceMetricsOverride",
        width=390,
        height=844,
        deviceScaleFactor=2,
        mobile=True,
    )
    assert generate(page) == "Done."
    box = page.evaluate("(({top, bottom}) => [top, bottom])(final.getBoundingClientRect())")
    assert 0 <= box[0] < box[1] <= 844
    page.call("Emulation.clearDeviceMetricsOverride")


def test_policy_of_the_page(service):
    answer = service.ask("GET", "/")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert not re.search(rb"""(src|href)=["'](?!data:)""", answer.body)


@needs_browser
def test_an_engine_of_prompts_is_asked_for_a_text(browser, prompt_engine):
    from adagen_rt import load
    from adagen_rt.serving import BatchEngine
    from adagen_rt.serving.http import Fleet, create_app

    pipeline = load(prompt_engine(), threads=1)
    with BatchEngine(pipeline) as engine, running(create_app(Fleet.of(engine))) as port:
        browser.events.clear()
        browser.call("Page.navigate", url=f"http://127.0.0.1:{port}/")
        browser.wait("document.querySelector('#status')?.textContent === 'Ready.'")
        hidden = "['class', 'prompt', 'negative'].map((id) => $(`${id}-field`).hidden)"
        assert browser.evaluate(hidden) == [True, False, False]
        assert browser.evaluate("$('prompt').value") == "a red cat sits"
        examples = "[...document.querySelectorAll('#examples button')]"
        known = browser.evaluate(f"{examples}.map((button) => button.textContent)")
        assert known == list(pipeline.manifest.condition.samples[:6])
        assert len(known) > 1
        browser.evaluate(f"{examples}.at(-1).click()")
        assert browser.evaluate("$('prompt').value") == known[-1]
        choose(browser, prompt="a blue <b>dog</b>", negative_prompt="sky", seed=7)
        assert generate(browser) == "Done."
        expected = pipeline.generate(
            prompts=["a blue <b>dog</b>"], negative_prompts="sky", seeds=[7]
        )
        pixels = shown(browser, "#final img")[0][..., 0]
        np.testing.assert_array_equal(pixels, expected.images[0])
        assert "a blue <b>dog</b>" in browser.evaluate("$('final-caption').textContent")
        link = browser.evaluate("$('link').getAttribute('href')")
        assert "prompt=a+blue" in link
        assert "negative_prompt=sky" in link
        assert "class" not in link
