"""Spans from tags and span figures: by hand, by a definition from pair to pair, and against stored figures."""

import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasft.errors import KerasftError
from kerasft.evaluation.spans import find_tag_scheme, span_figures, spans_of_tags


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("B-x I-x O B-y", [(0, 2, "x"), (3, 4, "y")]),
        ("B-x B-x I-x", [(0, 1, "x"), (1, 3, "x")]),
        ("I-x I-x B-x I-x O I-y", [(0, 2, "x"), (2, 4, "x"), (5, 6, "y")]),  # IOB1: B- only parts neighbours
        ("I-x I-y", [(0, 1, "x"), (1, 2, "y")]),
        ("B-x I-y I-y", [(0, 1, "x"), (1, 3, "y")]),
        ("O I-x O", [(1, 2, "x")]),
        ("O O", []),
        ("", []),
        ("B-A-1 I-A-1 I-A-2", [(0, 2, "A-1"), (2, 3, "A-2")]),  # the label may hold hyphens
        ("B I O I", [(0, 2, "_"), (3, 4, "_")]),
    ],
)
def test_bio_as_conlleval_reads_it(tags, expected):
    assert spans_of_tags(tags.split()) == expected
    assert spans_of_tags(tags.split(), "bioes") == expected


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("B-x I-x E-x S-x", [(0, 3, "x"), (3, 4, "x")]),
        ("B-x I-x L-x U-y", [(0, 3, "x"), (3, 4, "y")]),
        ("E-x", [(0, 1, "x")]),
        ("E-x E-x", [(0, 1, "x"), (1, 2, "x")]),
        ("B-x E-x I-x", [(0, 2, "x"), (2, 3, "x")]),
        ("S-x I-x", [(0, 1, "x"), (1, 2, "x")]),
        ("B-x E-y", [(0, 1, "x"), (1, 2, "y")]),
        ("B-x S-x E-x", [(0, 1, "x"), (1, 2, "x"), (2, 3, "x")]),
        ("B-x I-x", [(0, 2, "x")]),  # never closed
        ("O E-x O B-x O", [(1, 2, "x"), (3, 4, "x")]),
        ("B E S", [(0, 2, "_"), (2, 3, "_")]),
    ],
)
def test_bioes_legal_and_not(tags, expected):
    assert spans_of_tags(tags.split(), "bioes") == expected


def test_plain_tags_are_spans_of_one_word():
    assert spans_of_tags(["NOUN", "NOUN", "O", "VERB", "B-x"], "plain") == [
        (0, 1, "NOUN"),
        (1, 2, "NOUN"),
        (3, 4, "VERB"),
        (4, 5, "B-x"),
    ]


TAGS = ["O", *(f"{prefix}-{label}" for prefix in "BIESLU" for label in "xy")]


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from(TAGS), max_size=12))
def test_any_sequence_against_the_rule_for_two_neighbours(tags):
    def belongs_to_the_span_before(place):
        before, tag = tags[place - 1], tags[place]
        return place > 0 and before[1:] == tag[1:] != "" and tag[0] not in "BSU" and before[0] not in "ESLU"

    starts = [place for place, tag in enumerate(tags) if tag != "O" and not belongs_to_the_span_before(place)]
    expected = []
    for start in starts:
        end = start + 1
        while end < len(tags) and belongs_to_the_span_before(end):
            end += 1
        expected.append((start, end, tags[start][2:]))
    assert spans_of_tags(tags, "bioes") == expected


@st.composite
def rows_of_spans(draw):
    """Spans that do not overlap, neighbours included, and how many words there are."""
    spans, place = [], 0
    for gap, length, label in draw(
        st.lists(st.tuples(st.integers(0, 2), st.integers(1, 3), st.sampled_from(["x", "y", "z-1"])), max_size=5)
    ):
        spans.append((place + gap, place + gap + length, label))
        place += gap + length
    return spans, place + draw(st.integers(0, 2))


def written(spans, words, first, inside, last, single):
    tags = ["O"] * words
    for start, end, label in spans:
        tags[start:end] = [f"{inside}-{label}"] * (end - start)
        tags[start] = f"{first}-{label}"
        tags[end - 1] = f"{last}-{label}" if end - start > 1 else f"{single}-{label}"
    return tags


@settings(deadline=None, max_examples=100)
@given(rows_of_spans())
def test_what_is_written_is_read(row):
    spans, words = row
    for letters in ("BIIB", "BIES", "BILU"):
        tags = written(spans, words, *letters)
        assert spans_of_tags(tags, find_tag_scheme(tags)) == spans
    iob1 = written(spans, words, *"IIII")
    for (_, end, label), (start, _, next_label) in itertools.pairwise(spans):
        if end == start and label == next_label:
            iob1[start] = f"B-{label}"
    assert spans_of_tags(iob1) == spans


@pytest.mark.parametrize(
    ("tags", "scheme"),
    [
        ("B-PER I-PER O", "bio"),
        ("I-PER O", "bio"),
        ("O", "bio"),
        ("", "bio"),
        ("B I O", "bio"),
        ("B-PER E-PER O", "bioes"),
        ("U-PER O", "bioes"),
        ("B I E S O", "bioes"),
        ("NOUN VERB O X", "plain"),
        ("NN -LRB- WP$ NN-HL ,", "plain"),
        ("N V O S E", "plain"),
        ("M---d Ncmsn S---l", "plain"),
    ],
)
def test_the_scheme_of_a_data_set(tags, scheme):
    assert find_tag_scheme(tags.split()) == scheme


@pytest.mark.parametrize(
    ("tags", "named"),
    [
        (["B-PER", "O", "PER"], '"PER"'),
        (["B-PER", "O", "M-PER"], '"M-PER"'),
        (["B-PER", "B"], '"B"'),
        (["B-PER", "o"], '"o"'),
        (["b-per", "i-per", "O"], '"b-per"'),
        (["NOUN", ""], "empty"),
    ],
)
def test_a_tag_that_fits_no_scheme_is_named(tags, named):
    with pytest.raises(KerasftError, match=named) as caught:
        find_tag_scheme(tags)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("tag", "scheme"), [("E-x", "bio"), ("PER", "bio"), ("X-y", "bioes"), ("", "bioes")])
def test_a_tag_of_another_scheme_is_named(tag, scheme):
    with pytest.raises(KerasftError, match=f'"{tag}"'):
        spans_of_tags(["O", tag], scheme)


def test_figures_by_hand():
    truth = [[(0, 2, "x"), (3, 4, "y")], [(0, 1, "x")], []]
    predicted = [[(0, 2, "x"), (3, 4, "x")], [(0, 2, "x")], [(1, 2, "z")]]
    found = span_figures(truth, predicted)
    # 1 of 4 found is right, of 3 true ones. x: 1 of 3 found, of 2 true; y: none found; z: none true.
    assert found["precision"] == 1 / 4
    assert found["recall"] == 1 / 3
    assert found["f1"] == pytest.approx(2 / 7)
    assert found["macro_f1"] == pytest.approx((2 / 5 + 0 + 0) / 3)
    assert found["per_type"] == {
        "x": {"precision": 1 / 3, "recall": 1 / 2, "f1": pytest.approx(2 / 5), "rows": 2},
        "y": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "rows": 1},
        "z": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "rows": 0},
    }
    assert (found["spans"], found["rows"]) == (3, 3)


def test_no_spans_at_all():
    found = span_figures([[], []], [[], []])
    assert (found["precision"], found["recall"], found["f1"], found["macro_f1"]) == (0.0, 0.0, 0.0, 0.0)
    assert found["per_type"] == {}
    json.dumps(found)


def test_the_same_span_twice_counts_once():
    assert span_figures([[(0, 1, "x")]], [[[0, 1, "x"], (0, 1, "x")]])["precision"] == 1.0


def test_rows_of_both_sides_must_be_as_many():
    with pytest.raises(ValueError, match="shorter"):
        span_figures([[], []], [[]])


# True and predicted tags drawn at random, legal or not, with the figures that seqeval 1.2.2 gives in its default mode.
STORED = [
    (
        [
            "I-X-1 I-X-1 B-LOC B-PER I-X-1 B-PER O",
            "B-X-1 B-PER O O I-LOC I-X-1 B-PER",
            "O O O O B-LOC B-LOC O I-X-1",
            "I-X-1 B-LOC B-LOC B-X-1 I-X-1 O",
        ],
        [
            "I-X-1 B-X-1 O B-PER B-LOC O O",
            "B-X-1 O O B-LOC I-LOC I-LOC B-PER",
            "O B-LOC O O O B-LOC O B-LOC",
            "I-X-1 I-X-1 B-LOC B-LOC B-LOC O",
        ],
        (0.35714285714285715, 0.29411764705882354, 0.3225806451612903, 0.37806637806637805),
        {
            "LOC": (0.25, 0.3333333333333333, 0.28571428571428575, 6),
            "PER": (1.0, 0.5, 0.6666666666666666, 4),
            "X-1": (0.25, 0.14285714285714285, 0.18181818181818182, 7),
        },
    ),
    (
        [
            "B-X-1 E-X-1 E-PER E-X-1 I-PER B-PER I-LOC",
            "I-PER I-X-1 B-X-1 E-X-1",
            "S-PER S-X-1 E-LOC B-LOC E-PER O E-X-1",
            "B-PER I-X-1 I-PER B-PER I-PER B-LOC O E-LOC",
        ],
        [
            "B-X-1 E-X-1 E-PER E-X-1 I-PER O I-LOC",
            "I-PER I-LOC B-X-1 I-LOC",
            "S-PER E-LOC S-PER B-LOC E-PER O I-LOC",
            "B-PER E-LOC O B-PER B-LOC B-LOC O I-PER",
        ],
        (0.5238095238095238, 0.5238095238095238, 0.5238095238095238, 0.4984126984126984),
        {
            "LOC": (0.3333333333333333, 0.6, 0.42857142857142855, 5),
            "PER": (0.6666666666666666, 0.6666666666666666, 0.6666666666666666, 9),
            "X-1": (0.6666666666666666, 0.2857142857142857, 0.4, 7),
        },
    ),
]


@pytest.mark.parametrize(("truth", "predicted", "figures", "per_type"), STORED, ids=["bio", "bioes"])
def test_the_figures_of_seqeval(truth, predicted, figures, per_type):
    scheme = find_tag_scheme(tag for row in truth for tag in row.split())
    found = span_figures(*([spans_of_tags(row.split(), scheme) for row in side] for side in (truth, predicted)))
    assert [found[key] for key in ("precision", "recall", "f1", "macro_f1")] == pytest.approx(figures)
    by_type = {name: tuple(type_figures.values()) for name, type_figures in found["per_type"].items()}
    assert by_type == {name: pytest.approx(expected) for name, expected in per_type.items()}
