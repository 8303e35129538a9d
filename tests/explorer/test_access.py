"""The page inside other pages, and for those who do not see it or have little room."""

import functools
import html
import http.server
import json
import threading

import pytest
from explored import NAMES, VIDEOS, make_explored, watched

from yt8m_spark.explorer.page import write_explorer

ROUTES = ["#/", "#/entity/1", "#/entity/6", "#/video/abcd", "#/videos?sort=worst", "#/figures"]
READY = "#explorer[data-ready]"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Folder of a small explorer, and a page to put it into."""
    folder = tmp_path_factory.mktemp("explorer")
    write_explorer(str(folder), make_explored())
    icon = '<link rel="icon" href="data:,">'  # else the browser asks the server for one
    (folder / "outer.html").write_text(f"<!DOCTYPE html>{icon}<h1>Around it</h1>")
    return folder


@pytest.fixture(scope="module")
def address(site):
    return (site / "index.html").as_uri()


@pytest.fixture(scope="module")
def server(site):
    """Address of the folder over HTTP, as a tracking server has artifacts."""
    handler = functools.partial(QuietHandler, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Tells nothing on stderr."""

    def log_message(self, *_arguments):
        pass


@pytest.fixture
def page(browser, address):
    """The first page, opened from its file; fails if it asked for more or complained."""
    with watched(browser) as opened:
        opened.goto(address)
        opened.wait_for_selector(READY)
        yield opened


FRAMES = {
    # As MLflow shows an HTML artifact, and as Databricks and notebooks show one.
    "blob": """const frame = document.createElement("iframe");
        frame.sandbox = "allow-scripts"; frame.width = 1000; frame.height = 800;
        frame.src = URL.createObjectURL(new Blob([page], {type: "text/html"}));
        document.body.append(frame);""",
    "srcdoc": """const frame = document.createElement("iframe");
        frame.srcdoc = page; frame.width = 1000; frame.height = 800;
        document.body.append(frame);""",
    # As a notebook puts HTML into a cell: scripts are made anew so that they run.
    "cell": """const cell = document.createElement("div");
        cell.innerHTML = page;
        document.body.append(cell);
        for (const old of [...cell.querySelectorAll("script")]) {
          const script = document.createElement("script");
          for (const { name, value } of old.attributes) script.setAttribute(name, value);
          script.textContent = old.textContent;
          old.replaceWith(script);
        }""",
}


IGNORED = "was delivered via a <meta> element outside the document's <head>"


@pytest.mark.parametrize("over", ["file", "http"])
@pytest.mark.parametrize("way", FRAMES)
def test_the_page_works_inside_another(browser, site, server, way, over):
    outer = f"{server}/outer.html" if over == "http" else (site / "outer.html").as_uri()
    with watched(browser, ignored=IGNORED if way == "cell" else None) as around:
        around.set_default_timeout(10_000)
        around.goto(outer)
        around.evaluate(f"page => {{ {FRAMES[way]} }}", (site / "index.html").read_text("utf-8"))
        inner = around if way == "cell" else around.frame_locator("iframe")
        inner.locator("#explorer-search").fill("guitar")
        inner.locator("#explorer-search").press("Enter")
        title = inner.locator("#explorer h1")
        title.filter(has_text="Guitar").wait_for()
        inner.locator("a:text-is('abcd')").click()
        title.filter(has_text="Video abcd").wait_for()
        inner.locator("nav a:text-is('Entities')").click()
        inner.get_by_role("checkbox", name="Arts & Entertainment").check()
        assert inner.locator("table.entities tbody tr").first.inner_text().startswith("Guitar")
        if way == "blob":
            around.evaluate("history.back()")  # of the tab, frames and all
            title.filter(has_text="Video abcd").wait_for()
        assert around.url == outer
        assert around.locator("h1").first.inner_text() == "Around it"
        style = "getComputedStyle(document.querySelector('h1')).fontSize"
        assert around.evaluate(style) == "32px"  # the browser's own


def test_many_entities_come_row_by_row(browser, tmp_path):
    explored = make_explored()
    write_explorer(str(tmp_path), explored)
    source = (tmp_path / "index.html").read_text("utf-8")
    mark = 'id="explorer-data-entities">'
    start = source.index(mark) + len(mark)
    many = [{"id": i, "name": f"name {i}", "verticals": [], "n_videos": 1} for i in range(400)]
    page_text = source[:start] + json.dumps(many) + source[source.index("</script>", start) :]
    (tmp_path / "many.html").write_text(page_text, encoding="utf-8")
    with watched(browser) as page:
        page.goto((tmp_path / "many.html").as_uri())
        rows = page.locator("table.entities tbody tr")
        assert rows.count() == 50
        page.get_by_role("button", name="Show more (350 left)").press("Enter")
        page.wait_for_function("document.querySelectorAll('table.entities tbody tr').length >= 100")


NAMELESS = """() => [...document.querySelectorAll(
    "a[href], button, input, select, summary, [role=img], [role=region], nav, aside")]
  .filter((one) => one.checkVisibility())
  .filter((one) => !(one.getAttribute("aria-label") || one.textContent
    || one.labels?.[0]?.textContent || "").trim())
  .map((one) => one.outerHTML)"""

# Contrast of every text to the nearest background behind it, by WCAG's formula, below `least`.
PALE = """(least) => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgb = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (one) => {
    for (; one; one = one.parentElement) {
      const found = rgb(getComputedStyle(one).backgroundColor);
      if (found[3] === 255) return found;
    }
    return [255, 255, 255];
  };
  const pale = [];
  for (const one of document.querySelectorAll("#explorer *")) {
    const text = [...one.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    const unseen = one.matches("script, noscript, title");
    if (!text || unseen || !one.checkVisibility()) continue;
    const style = getComputedStyle(one);
    const ink = light(rgb(one instanceof SVGElement ? style.fill : style.color));
    const [a, b] = [ink, light(behind(one))].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < least) pale.push([one.outerHTML.slice(0, 90), contrast]);
  }
  return pale;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_have_contrast(browser, address, scheme):
    with watched(browser, color_scheme=scheme) as page:
        for route in ROUTES:
            page.goto(address + route)
            page.wait_for_selector(READY)
            assert page.evaluate(PALE, 4.5) == [], route
            assert page.evaluate(PALE, 22) != [], "nothing was looked at"


def test_every_control_has_a_name_and_pages_a_shape(page, address):
    for route in ROUTES:
        page.goto(address + route)
        assert page.evaluate(NAMELESS) == [], route
        assert page.locator("h1").count() == 1
        for landmark in ("banner", "main", "contentinfo", "search"):
            assert page.get_by_role(landmark).count() == 1, (route, landmark)
        doubled = page.evaluate("""() => { const ids = [...document.querySelectorAll("[id]")]
            .map((one) => one.id); return ids.filter((id, i) => ids.indexOf(id) < i); }""")
        assert doubled == []
        assert page.locator("table:not(:has(caption))").count() == 0


def test_the_first_tab_leads_past_the_head(page):
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.tagName") == "MAIN"


@pytest.mark.parametrize("width", [360, 768])
def test_nothing_is_wider_than_a_narrow_screen(browser, address, width):
    with watched(browser, viewport={"width": width, "height": 740}) as page:
        for route in [
            *ROUTES,
            f"#/entity/{len(NAMES) - 1}",
            f"#/video/{html.escape(VIDEOS[4][0])}",
        ]:
            page.goto(address + route)
            page.wait_for_selector(READY)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, route
