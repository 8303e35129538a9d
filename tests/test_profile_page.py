"""Pictures and page of a profile. How they look is for people; here: what is in them."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.image import imread

from yt8m_spark.formats.vocabulary_details import VocabularyDetails
from yt8m_spark.profile_page import profile_page
from yt8m_spark.profile_plots import save_plots
from yt8m_spark.spark.profile import Profile
from yt8m_spark.spark.profile_entities import (
    Comparison,
    Deviation,
    EntityCounts,
    VerticalCounts,
    entity_table,
)
from yt8m_spark.spark.profile_ids import Duplicates, Overlap
from yt8m_spark.spark.profile_splits import Distribution, SplitProfile

NAME = "<script>alert('x')</script> & Ж 漢"  # the vocabulary is anyone's


def make_profile(*, labelled=True, with_vocabulary=True):
    lengths = Distribution(1, 2.0, 3.0, 4.0, 5, 3.0, 2, [1, 2, 1])
    labels = Distribution(0, 0.0, 1.0, 1.0, 2, 0.8, 1, [2, 1, 1])
    counts = np.array([[5, 2], [1, 0], [0, 0]]) * labelled
    splits = ["train", "mine"]
    one = SplitProfile(4, 0, 10, 12, lengths, labels, {})
    details = None
    vocabulary, verticals = {}, []
    if with_vocabulary:
        details = VocabularyDetails(np.arange(3), {0: NAME}, {0: 9, 1: 3, 2: 1}, {0: ("Games",)})
        worst = [Deviation(0, NAME, 5, 4.5, 0.2)]
        vocabulary = {"train": Comparison(1, [2], 0, 0, [], 0.5, None, worst)}
        verticals = [
            VerticalCounts("Games", 1, {"train": 5, "mine": 0}),
            VerticalCounts("Food & Drink", 0, {"train": 0, "mine": 0}),
        ]
    return Profile(
        splits=dict.fromkeys(splits, one),
        duplicates=dict.fromkeys(splits, Duplicates(0, 0, [])),
        overlaps=[Overlap(("train", "mine"), 1, ["<b>"])],
        entities=entity_table(EntityCounts(splits, np.arange(3), counts), "train", details),
        n_entities={"train": 2 * labelled, "mine": 1 * labelled},
        zipf_slopes={"train": -2.3, "mine": None} if labelled else {},
        vocabulary_slope=-1.9 if with_vocabulary else None,
        vocabulary=vocabulary,
        verticals=verticals,
    )


class Tags(HTMLParser):
    """Tags of a page in order, and whether each is closed by its own."""

    def __init__(self):
        super().__init__()
        self.names, self.open, self.images = [], [], []

    def handle_starttag(self, tag, attributes):
        self.names.append(tag)
        if tag == "img":
            self.images.append(dict(attributes)["src"])
        elif tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize(
    ("labelled", "with_vocabulary", "names"),
    [
        (True, True, ["frequency", "verticals", "lengths", "labels"]),
        (True, False, ["frequency", "lengths", "labels"]),
        (False, True, ["verticals", "lengths", "labels"]),
        (False, False, ["lengths", "labels"]),
    ],
)
def test_there_is_a_picture_of_all_that_is_known(tmp_path, labelled, with_vocabulary, names):
    profile = make_profile(labelled=labelled, with_vocabulary=with_vocabulary)
    plots = save_plots(profile, str(tmp_path))
    assert [str(tmp_path / f"{name}.png") for name in names] == list(plots)
    for path in plots:
        picture = imread(path)[..., :3]
        assert (picture[0, 0] == 1).all()
        assert (picture != picture[0, 0]).any(axis=2).mean() > 0.005, "nothing was drawn"


def test_the_page_is_whole_and_stands_alone(tmp_path):
    profile = make_profile()
    page = profile_page(profile, save_plots(profile, str(tmp_path)), {"input": "a<b>*.tfrecord"})
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert len(tags.images) == 4
    assert all(source.startswith("data:image/png;base64,iVBOR") for source in tags.images)
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "are in both train and mine" in page
    for text in ("&lt;script&gt;", "a&lt;b&gt;*.tfrecord", "&lt;b&gt;", "Ж 漢"):
        assert text in page
    assert "script" not in tags.names


def test_every_row_of_a_table_has_as_many_cells_as_its_head(tmp_path):
    page = profile_page(make_profile(), {}, {})
    tables = page.split("<table>")[1:]
    assert len(tables) == 4  # splits, ids in two splits, most frequent, farthest
    for table in tables:
        rows = table.split("</table>")[0].split("<tr>")[1:]
        assert len({len(re.findall(r"</t[hd]>", row)) for row in rows}) == 1


def test_a_page_without_labels_and_vocabulary(tmp_path):
    page = profile_page(make_profile(labelled=False, with_vocabulary=False), {}, {})
    assert "Most frequent entities" not in page
    assert "Farthest" not in page
