"""How long does Chromium take from opening the explorer's file to a page that answers?

A page of 3,862 entities and 10,000 videos, all with more to tell than real ones have: each entity
has a description, a curve of 50 points and 40 neighbours and videos, each video 20 predictions.
Times are the browser's own, from the start of the navigation to its mark "explorer-interactive";
then of the first entity page, which reads the rest of the data, of others, and of one letter typed
into the search. A folder given as argument is measured instead. Prints medians of a few fresh tabs;
the aim is 2 s for the first.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
from playwright.sync_api import Browser, sync_playwright

from yt8m_spark.explorer.data import Explored
from yt8m_spark.explorer.evaluation import EvaluationFolder, no_evaluation
from yt8m_spark.explorer.page import PAGE, write_explorer
from yt8m_spark.explorer.vocabulary import EntityTexts
from yt8m_spark.formats.vocabulary_details import VocabularyDetails
from yt8m_spark.spark.explorer import ShownVideos

E, V, K, POINTS, EXAMPLES, NEAR = 3862, 10_000, 20, 50, 6, 12
TIMES = 5

# What a click and a letter take, until the page has changed.
OPEN = """(route) => { const start = performance.now();
    document.querySelector("#explorer").append(Object.assign(document.createElement("a"),
      { href: route, id: "probe" }));
    document.querySelector("#probe").click(); document.querySelector("#probe").remove();
    document.body.getBoundingClientRect(); return performance.now() - start; }"""
TYPE = """() => { const input = document.querySelector("#explorer-search");
    const start = performance.now(); input.value = "a";
    input.dispatchEvent(new Event("input")); return performance.now() - start; }"""


def main() -> None:
    """Build, measure, print."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        if len(sys.argv) > 1:
            folder = sys.argv[1]
        else:
            write_explorer(folder, make_explored())
        path = Path(folder).resolve() / PAGE
        print(f"{path.stat().st_size / 1e6:.1f} MB")
        chromium = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        rounds = [measure(browser, path.as_uri()) for _ in range(TIMES)]
        for name in rounds[0]:
            times = [one[name] for one in rounds]
            print(f"{name:20} {statistics.median(times):7.0f} ms (slowest {max(times):.0f})")
        browser.close()


def measure(browser: Browser, address: str) -> dict[str, float]:
    """Milliseconds of each step in a fresh tab."""
    page = browser.new_page()
    page.goto(address)
    mark = "performance.getEntriesByName('explorer-interactive')[0].startTime"
    first = "JSON.parse(document.getElementById('explorer-data-videos').textContent)[0].id"
    times = {"interactive": page.evaluate(mark)}
    times["first entity page"] = page.evaluate(OPEN, "#/entity/1")
    times["second entity page"] = page.evaluate(OPEN, "#/entity/2")
    times["video page"] = page.evaluate(OPEN, f"#/video/{page.evaluate(first)}")
    times["list of videos"] = page.evaluate(OPEN, "#/videos?sort=worst")
    times["figures"] = page.evaluate(OPEN, "#/figures")
    times["a letter typed"] = page.evaluate(TYPE)
    page.close()
    return times


def make_explored() -> Explored:
    """Random data of the size of real ones."""
    rng = np.random.default_rng(0)
    verticals = {e: (f"Vertical {e % 24}",) for e in range(E)}
    counts = {e: int(800_000 / (e + 1)) for e in range(E)}
    names = {e: f"Name of entity {e}" for e in range(E)}
    words = "A game is a structured form of play. " * 10
    texts = {e: EntityTexts(f"/m/{e:06x}", f"https://w.org/{e}", words) for e in range(E)}
    return Explored(
        title="Explorer",
        sources={},
        vocabulary=VocabularyDetails(np.arange(E), names, counts, verticals),
        texts=texts,
        shown=make_shown(rng),
        nearest={e: pairs(rng, NEAR) for e in range(E)},
        nearest_by="weights",
        top_k=K,
        evaluation=make_evaluation(rng),
    )


def pairs(rng: np.random.Generator, n: int) -> list[tuple[int, float]]:
    """Entities and figures."""
    return list(zip(rng.integers(0, E, n).tolist(), rng.random(n).tolist(), strict=True))


def make_shown(rng: np.random.Generator) -> ShownVideos:
    """Videos with 3 labels and K predictions, and examples of all entities."""
    entities = [rng.choice(E, K, replace=False).tolist() for _ in range(V)]
    scores = np.sort(rng.random((V, K)).astype(np.float32))[:, ::-1].tolist()
    ids = [f"v{i:010d}" for i in range(V)]
    labels = [[*found[:2], 0] for found in entities]
    columns = {"video_id": ids, "labels": labels, "entities": entities, "scores": scores}
    rows = [(kind, e, ids[int(i)], 0.1234, place)
            for e in range(E) for kind in ("best", "wrong", "missed")
            for place, i in enumerate(rng.integers(0, V, EXAMPLES), 1)]  # fmt: skip
    heads = ("kind", "entity", "video_id", "score", "place")
    examples = pa.table(dict(zip(heads, map(list, zip(*rows, strict=True)), strict=True)))
    return ShownVideos(1_600_000, dict.fromkeys(range(E), 9), pa.table(columns), examples)


def make_evaluation(rng: np.random.Generator) -> EvaluationFolder:
    """Figures, curves and confusions of all entities."""
    down = np.linspace(1, 0, POINTS).round(3).tolist()
    curve = {"thresholds": down, "precision": down, "recall": down[::-1]}
    figures = [dict.fromkeys(("average_precision", "best_f1", "best_threshold"), round(x, 4))
               for x in rng.random(E).tolist()]  # fmt: skip
    confusions = {e: [(i, 3, 0.1234) for i in rng.integers(0, E, 10).tolist()] for e in range(E)}
    return no_evaluation()._replace(
        metrics={"map": 0.5},
        per_entity=dict(enumerate(figures)),
        curves=dict.fromkeys(range(E), curve),
        confusions=confusions,
    )


if __name__ == "__main__":
    main()
