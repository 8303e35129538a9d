"""A small explorer to test the page with: entities with names as hostile as any, and few videos."""

import numpy as np
import pyarrow as pa

from yt8m_spark.explorer.data import Explored
from yt8m_spark.explorer.evaluation import EvaluationFolder
from yt8m_spark.explorer.vocabulary import EntityTexts
from yt8m_spark.formats.vocabulary_details import VocabularyDetails
from yt8m_spark.spark.explorer import ShownVideos

RUNS = "window.hacked = true"
HOSTILE = [
    f"<script>{RUNS}</script>",
    f"</script><script>{RUNS}</script>",
    f"<img src=x onerror='{RUNS}'>",
    f'" onmouseover="{RUNS}" x="',
    "<!--<script>",
    "line\u2028and\u2029paragraph",
    "&lt;b&gt; & \\u003c \\",
    f"${{{RUNS}}}`{{{{ 7 * 7 }}}}",
    "</style></title></textarea>",
    "__proto__",
]
NAMES = ["Pokémon", "Guitar", "Electric guitar", "Škoda Auto", "Łódź", "Cooking", *HOSTILE]
VERTICALS = ["Games", "Arts & Entertainment", "<b>Food</b>"]
N = len(NAMES)  # entities with names; one more has none

# id, labels, entities and scores: a hit and a wrong one, all right, low, none, without labels
VIDEOS = [
    ("abcd", [0, 1], [1, 2, 0], [0.9, 0.6, 0.25]),
    ("dQw4w9WgXcQ", [1], [1, 2, 3], [0.8, 0.3, 0.2]),
    ("efgh", [2, 3], [0, 1, 4], [0.7, 0.5, 0.1]),
    ("ijkl", [], [5, 1, 0], [0.4, 0.3, 0.2]),
    (f"<img src=x onerror={RUNS}>/?#%", [6], [6, 7, 8], [0.9, 0.2, 0.1]),
    ("toString", [9], [8, 9, 10], [0.5, 0.4, 0.3]),
]
EXAMPLES = [  # kind, entity, video, score
    ("best", 1, "abcd", 0.9),
    ("best", 1, "dQw4w9WgXcQ", 0.8),
    ("wrong", 1, "efgh", 0.5),
    ("missed", 2, "efgh", None),
    ("unlabelled", 1, "ijkl", 0.3),
    ("best", 6, VIDEOS[4][0], 0.9),
]


def make_explored(**changes):
    """An `Explored` with everything in it; ``changes`` replace its fields."""
    entities = np.arange(N + 1)
    vocabulary = VocabularyDetails(
        entities,
        dict(enumerate(NAMES)),
        {e: 10_000 // (e + 1) for e in range(N)},
        {e: (VERTICALS[e % 3], VERTICALS[0]) if e % 3 else (VERTICALS[0],) for e in range(N)},
    )
    texts = {
        e: EntityTexts(f"/m/0{e}", "https://en.wikipedia.org/wiki/X", NAMES[-e]) for e in range(N)
    }
    fields = {
        "title": f"Explorer {HOSTILE[1]}",
        "sources": {"vocabulary": f"a {HOSTILE[0]}.csv"},
        "vocabulary": vocabulary,
        "texts": texts,
        "shown": make_shown(),
        "nearest": {1: [(2, 0.8), (0, 0.1)], 6: [(7, 0.5)]},
        "nearest_by": "weights",
        "top_k": 3,
        "evaluation": make_evaluation(),
    }
    return Explored(**(fields | changes))


def make_shown(videos=VIDEOS, examples=EXAMPLES):
    """`ShownVideos` of literal rows."""
    ints, floats = pa.list_(pa.int32()), pa.list_(pa.float32())
    columns = list(zip(*videos, strict=True))
    table = pa.table(
        {
            "video_id": pa.array(columns[0]),
            "labels": pa.array(columns[1], ints),
            "entities": pa.array(columns[2], ints),
            "scores": pa.array(columns[3], floats),
        }
    )
    kinds, entities, ids, scores = zip(*examples, strict=True)
    rows = pa.table(
        {
            "kind": pa.array(kinds),
            "entity": pa.array(entities, pa.int32()),
            "video_id": pa.array(ids),
            "score": pa.array(scores, pa.float32()),
            "place": pa.array(range(1, len(kinds) + 1), pa.int32()),
        }
    )
    counts = {e: sum(e in labels for _, labels, _, _ in videos) for e in range(N)}
    return ShownVideos(20, {e: n for e, n in counts.items() if n}, table, rows)


def make_evaluation():
    """An `EvaluationFolder` with all its parts."""
    curve = {
        "thresholds": [0.9, 0.5, 0.1],
        "precision": [1.0, 0.75, 0.5],
        "recall": [0.3, 0.6, 1.0],
    }
    per_entity = {
        e: {
            "n_positives": 4,
            "average_precision": 1 - e / 40,
            "best_threshold": 0.5,
            "best_f1": 0.66,
        }
        for e in range(10)
    }
    return EvaluationFolder(
        metrics={"map": 0.4125, "gap_at_20": 0.61, "hit_at_10": 0.9, "loss": 0.00412,
                 "n_videos": 20},
        intervals={"level": 0.95, "n_replicates": 200, "intervals": {"map": [0.401, 0.425]}},
        per_entity=per_entity,
        curves={1: curve, 6: curve},
        confusions={1: [(2, 3, 0.5), (6, 1, 0.2)]},
        groups=[{"kind": "band", "name": "head", "n_entities": 3, "n_positives": 9, "map": 0.5}],
        reliability=[{"bin": 0, "n_pairs": 9, "n_hits": 3, "mean_score": 0.3},
                     {"bin": 1, "n_pairs": 0, "n_hits": 0, "mean_score": None}],
    )  # fmt: skip


class watched:  # noqa: N801 - used as a function
    """A new tab that must end without errors, messages or requests beyond its documents."""

    def __init__(self, browser, ignored=None, **options):
        self.context = browser.new_context(**options)
        self.ignored, self.faults = ignored, []

    def __enter__(self):
        page = self.context.new_page()
        page.on("console", self._read)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("dialog", lambda dialog: self.faults.append(dialog.message))
        page.on("request", self._check)
        return page

    def _read(self, message):
        if self.ignored is None or self.ignored not in message.text:
            self.faults.append(message.text)

    def _check(self, request):
        if request.resource_type != "document" and not request.url.startswith("data:,"):
            self.faults.append(f"request of {request.url}")

    def __exit__(self, *error):
        self.context.close()
        if error[0] is None:
            assert self.faults == []
