"""Options and lists of types. What they do is tested in tests/jobs/test_build_vocabulary.py."""

import pytest

from yt8m_spark.config import load_config
from yt8m_spark.errors import InputError
from yt8m_spark.vocabulary_config import VocabularyConfig, listed_types

GIVEN = ("--entities=e", "--types=t", "--videos=v", "--output=o")


def load(*more):
    return load_config(VocabularyConfig, [*GIVEN, *more], job="build_vocabulary")


def test_the_papers_numbers_are_the_defaults():
    config = load()
    assert (config.min_raters, config.max_visualness, config.min_videos) == (3, 2.5, 200)
    assert (config.whitelist, config.blacklist, config.n_top) == ((), (), 7)


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("--min-raters=0", "min_raters must be at least 1, got 0"),
        ("--min-videos=-1", "min_videos must be at least 0"),
        ("--n-top=0", "n_top must be at least 1"),
        (f"--min-videos={10**23}", f"min_videos must be at most {2**63 - 1}"),
        ("--max-visualness=5.5", "above 1, up to 5, got 5.5"),
        ("--types=,", "types must name at least one table"),
        ("--unknown-types=keep", "exclude, ignore, error"),
    ],
)
def test_values_out_of_range_are_refused(flag, words):
    with pytest.raises(InputError, match=words):
        load(flag)


def test_types_are_named_or_come_from_files(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("\ufeff/a # first\n\n# none\n  /b, with a comma  \n/a\n")
    assert listed_types(["/c", str(path), "/c"]) == ("/c", "/a", "/b, with a comma")
    path.write_text("# none\n")
    with pytest.raises(InputError, match=r"empty in .*list\.txt"):
        listed_types([str(path)])
    with pytest.raises(InputError, match=r"cannot be read in absent\.txt"):
        listed_types(["absent.txt"])
