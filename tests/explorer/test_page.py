"""The page in a browser: search, routes, lists, hostile names.

Frames, access and narrow screens are tested in test_explorer_access; how it looks, people see.
"""

import pytest
from explored import HOSTILE, NAMES, RUNS, VIDEOS, make_explored, watched

from yt8m_spark.explorer.page import write_explorer
from yt8m_spark.explorer.vocabulary import EntityTexts

READY = "#explorer[data-ready]"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Folder of a small explorer."""
    folder = tmp_path_factory.mktemp("explorer")
    write_explorer(str(folder), make_explored())
    return folder


@pytest.fixture(scope="module")
def address(site):
    return (site / "index.html").as_uri()


@pytest.fixture
def page(browser, address):
    """The first page, opened from its file; fails if it asked for more or complained."""
    with watched(browser) as opened:
        opened.goto(address)
        opened.wait_for_selector(READY)
        yield opened


def heading(page):
    return page.locator("#explorer h1").inner_text()


def search(page, text):
    page.fill("#explorer-search", text)
    return page.locator("[role=option] > span:first-child").all_inner_texts()


def hacked(page):
    return page.evaluate("window.hacked")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pokemon", ["Pokémon"]),
        ("POKÉMON", ["Pokémon"]),
        ("skoda", ["Škoda Auto"]),
        ("lodz", ["Łódź"]),
        ("guitar", ["Guitar", "Electric guitar"]),  # the name itself before one that has it
        ("uitar ele", ["Electric guitar"]),
        ("15", ["__proto__"]),
        ("#4", ["Łódź"]),
        ("/m/05", ["Cooking"]),
        (HOSTILE[0], [HOSTILE[0], HOSTILE[1]]),
        ("abcd", ["abcd"]),  # a video
        ("entity 16", ["Entity 16"]),  # one without a name
        ("no such thing", []),
    ],
)
def test_search_finds_names_and_ids(page, text, expected):
    assert search(page, text) == expected
    n = len(expected) - (text == "abcd")
    told = "1 entity found" if n == 1 else f"{n} entities found"
    assert page.locator("#explorer-found").inner_text() == told


def test_search_is_driven_by_the_keyboard(page):
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "explorer-search"
    page.keyboard.type("guitar")
    box = page.locator("#explorer-search")
    assert box.input_value() == "guitar"
    assert box.get_attribute("aria-expanded") == "true"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    active = page.locator(f"#{box.get_attribute('aria-activedescendant')}")
    assert active.get_attribute("aria-selected") == "true"
    assert "Electric guitar" in active.inner_text()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    assert heading(page) == "Guitar"
    assert page.evaluate("document.activeElement.tagName") == "H1"
    assert box.get_attribute("aria-expanded") == "false"
    page.keyboard.press("/")
    page.keyboard.type("elec/")  # a slash in the field is text
    assert box.input_value() == "elec/"
    page.keyboard.press("Escape")
    assert page.locator("#explorer-options").is_hidden()


def test_enter_opens_the_first_that_is_found_and_a_click_any(page):
    search(page, "guitar")
    page.keyboard.press("Enter")
    assert heading(page) == "Guitar"
    search(page, "guitar")
    page.locator("[role=option]").nth(1).click()
    assert heading(page) == "Electric guitar"


def test_routes_are_addresses_and_back_goes_back(page, address):
    page.click("a:text-is('Electric guitar') >> nth=0")
    assert page.url == f"{address}#/entity/2"
    assert page.title() == f"Electric guitar – Explorer {HOSTILE[1]}"
    page.click("section:has-text('Missed') a:text-is('efgh')")
    assert page.url == f"{address}#/video/efgh"
    page.click("nav a:text-is('Figures')")
    assert page.locator("nav a[aria-current]").all_inner_texts() == ["Figures"]
    page.go_back()
    assert heading(page) == "Video efgh"
    page.go_back()
    page.go_back()
    assert page.locator(".cloud").count() == 1
    page.go_forward()
    assert heading(page) == "Electric guitar"
    page.reload()
    assert heading(page) == "Electric guitar"


NOWHERE = ["entity/999", "entity/constructor", "entity/1x", "entity/", "video/valueOf", "__proto__"]


@pytest.mark.parametrize("route", [*NOWHERE, "x/%E0%A4%A", "videos2"])
def test_a_route_to_nowhere_says_so(page, address, route):
    page.goto(f"{address}#/{route}")
    assert heading(page) == "Not found"


def test_verticals_filter_and_columns_sort(page, address):
    page.get_by_role("checkbox", name="<b>Food</b>").check()
    rows = page.locator("table.entities tbody th a")
    assert rows.all_inner_texts() == [NAMES[e] for e in range(2, len(NAMES), 3)]
    assert page.locator(".found").inner_text().startswith(f"{rows.count()} entities in <b>Food</b>")
    page.get_by_role("button", name="Entity").press("Enter")
    assert rows.all_inner_texts()[-1] == "Electric guitar" or rows.first.inner_text() < "E"
    assert page.locator("th[aria-sort=ascending]").inner_text().startswith("Entity")
    page.get_by_role("button", name="AP").click()
    assert rows.first.inner_text() == "Electric guitar"  # 1 - 2/40, the best of them
    assert page.url.endswith("#/?v=%3Cb%3EFood%3C%2Fb%3E&sort=ap")
    rows.first.click()
    page.go_back()
    assert page.get_by_role("checkbox", name="<b>Food</b>").is_checked()
    assert rows.first.inner_text() == "Electric guitar"
    page.get_by_role("button", name="Show all").click()
    assert rows.count() == len(NAMES) + 1


def test_hostile_names_are_just_text(page, address):
    assert heading(page) == f"Explorer {HOSTILE[1]}"
    for e, name in enumerate(NAMES):
        page.goto(f"{address}#/entity/{e}")
        shown = page.locator("#explorer h1").text_content()
        assert shown == name
        if e:
            assert page.locator(".description").text_content().startswith(NAMES[-e])
    for video, *_ in VIDEOS:
        page.goto(address)
        page.evaluate("id => { location.hash = '#/video/' + encodeURIComponent(id); }", video)
        page.wait_for_function("document.querySelector('h1').textContent.startsWith('Video')")
        assert page.locator("#explorer h1").text_content() == f"Video {video}"
    for route in ("#/figures", "#/videos", f"#/?q={RUNS}", f"#/entity/<script>{RUNS}</script>"):
        page.goto(address + route)
    assert hacked(page) is None
    assert page.locator("#explorer main script, #explorer main img").count() == 0


def test_an_entity_page_tells_all_that_is_known(page, address):
    page.goto(f"{address}#/entity/1")
    tiles = page.locator(".tiles").inner_text()
    for text in ("5,000", "0.975", "rank 2 of 10", "at threshold 0.5", "0.660"):
        assert text in tiles
    assert "threshold, 0.5, recall is 0.6 and precision 0.75" in page.locator(
        "svg.plot"
    ).get_attribute("aria-label")
    assert page.locator("figure tbody tr").count() == 3
    titles = page.locator("main h2").all_inner_texts()
    assert titles == ["Precision and recall", "Nearest entities", "Most confused with",
                      "Best scored", "Wrongly scored", "Highest scores without labels"]  # fmt: skip
    assert "50.0 %" in page.locator("section:has-text('Most confused')").inner_text()
    best = page.locator("section:has-text('Best scored') li").all_inner_texts()
    assert [line.split()[0] for line in best] == ["abcd", "dQw4w9WgXcQ"]


def test_a_video_page_tells_hits_and_misses_in_words(page, address):
    page.goto(f"{address}#/video/abcd")  # labels 0 and 1; predicted 1, 2, 0
    assert "1 of 2 labels are among the first 2 predictions." in page.locator(".lead").inner_text()
    rows = page.locator(".predictions tbody tr").all_inner_texts()
    assert [row.split()[-1] for row in rows] == ["found", "label", "low"]
    assert ["✓" in rows[0], "✗" in rows[1], "○" in rows[2]] == [True] * 3
    labels = page.locator(".labels li").all_inner_texts()
    assert [" ".join(label.split()) for label in labels] == [
        "○ Pokémon rank 3",
        "✓ Guitar found, rank 1",
    ]
    page.goto(f"{address}#/video/efgh")
    assert "not among the first 3" in page.locator(".labels").inner_text()
    page.goto(f"{address}#/video/ijkl")
    assert "nobody knows" in page.locator(".lead").inner_text()
    assert page.locator(".labels, .verdict").count() == 0


def test_links_lead_to_videos_by_the_kind_of_their_ids(page, address):
    expected = {
        "abcd": "https://data.yt8m.org/2/j/i/ab/abcd.js",
        "dQw4w9WgXcQ": "https://www.youtube.com/watch?v=dQw4w9WgXcQ",
    }
    for video, link in expected.items():
        page.goto(f"{address}#/video/{video}")
        watch = page.locator("a:has-text('Watch')")
        assert watch.get_attribute("href") == page.locator(".address").inner_text() == link
        assert "noopener" in watch.get_attribute("rel")
    page.goto(f"{address}#/video/toString")
    assert page.locator("a:has-text('Watch')").count() == 0


def test_only_addresses_of_the_web_become_links(browser, tmp_path):
    texts = {1: EntityTexts(None, f"javascript:{RUNS}", "words")}
    write_explorer(str(tmp_path), make_explored(texts=texts))
    with watched(browser) as page:
        page.goto((tmp_path / "index.html").as_uri() + "#/entity/1")
        assert page.locator(".description").inner_text() == "words"
        assert page.locator("a[href^=javascript]").count() == 0


def test_a_template_for_links_takes_any_id(browser, tmp_path):
    write_explorer(str(tmp_path), make_explored(video_url="https://v.example/?id={id}&x=$&"))
    with watched(browser) as page:
        page.goto((tmp_path / "index.html").as_uri() + "#/videos")
        page.get_by_role("link", name="<img src=x").click()
        link = page.locator(".address").inner_text()
    assert link.startswith("https://v.example/?id=%3Cimg%20src%3Dx%20onerror%3D")
    assert link.endswith("&x=$&")


def test_figures_come_with_intervals(page, address):
    page.goto(f"{address}#/figures")
    metrics = page.locator(".metrics").inner_text()
    assert "0.401 to 0.425" in metrics
    assert "95 % interval" in metrics
    assert "Hit@10\t0.900" in metrics
    assert "Loss\t0.0041" in metrics
    assert page.locator("svg .point").count() == 10
    page.locator("svg .point").first.click(force=True)
    assert page.url.startswith(f"{address}#/entity/")
