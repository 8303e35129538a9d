"""The page as text, without a browser. What a browser makes of it: test_explorer_page."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from explored import HOSTILE, make_explored

from yt8m_spark.explorer.data import explorer_data
from yt8m_spark.explorer.page import embedded_json, explorer_page, write_explorer

RESOURCES = Path(__file__).parents[2] / "yt8m_spark" / "resources" / "explorer"


class Scripts(HTMLParser):
    """Content of the <script> elements of a page, and all addresses in attributes."""

    def __init__(self):
        super().__init__()
        self.scripts, self.inside, self.addresses = [], False, []

    def handle_starttag(self, tag, attributes):
        self.addresses += [v for k, v in attributes if k in ("src", "href", "action", "data")]
        if tag == "script":
            self.inside = True
            self.scripts.append((dict(attributes), ""))

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            attributes, before = self.scripts[-1]
            self.scripts[-1] = attributes, before + data


def read(page):
    parser = Scripts()
    parser.feed(page)
    return parser


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_comes_back_from_embedded_json_and_cannot_leave_it(text):
    written = str(embedded_json({"name": text}))
    assert json.loads(written) == {"name": text}
    assert not set(written) & set("<>&\u2028\u2029")


def test_the_page_holds_the_data_and_one_script():
    data = explorer_data(make_explored())
    scripts = read(explorer_page(data)).scripts
    embedded = {a["id"]: json.loads(text) for a, text in scripts if "id" in a}
    assert embedded == {f"explorer-data-{name}": value for name, value in data.items()}
    assert len(scripts) == len(data) + 1


def test_the_page_loads_nothing():
    page = explorer_page(explorer_data(make_explored()))
    assert all(a.startswith(("#/", "data:,")) for a in read(page).addresses)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page).group(1)
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_the_title_is_escaped():
    page = explorer_page(explorer_data(make_explored(title="</title><script>x</script>")))
    assert "<title>&lt;/title&gt;&lt;script&gt;x&lt;/script&gt;</title>" in page


def test_files_hold_the_same_data_as_the_page(tmp_path):
    explored = make_explored()
    paths = write_explorer(str(tmp_path), explored)
    assert paths[0] == str(tmp_path / "index.html")
    names = {"site", "entities", "details", "videos"}
    assert {Path(p).name for p in paths[1:]} == {f"{name}.json" for name in names}
    data = explorer_data(explored)
    for name in names:
        assert json.loads((tmp_path / "data" / f"{name}.json").read_text("utf-8")) == data[name]


def test_scripts_make_no_markup_of_text():
    for path in RESOURCES.glob("*.js"):
        source = path.read_text("utf-8")
        for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert way not in source, path
        for way in ("fetch(", "XMLHttpRequest", "import(", "localStorage"):
            assert way not in source, path  # no network; storage is barred in a sandboxed frame


def test_resources_stay_small_and_end_no_element():
    for path in RESOURCES.iterdir():
        source = path.read_text("utf-8")
        assert source.count("\n") <= 300, path
        if path.suffix != ".html":
            assert "</script" not in source
            assert "</style" not in source
