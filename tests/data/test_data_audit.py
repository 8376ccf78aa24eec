"""Errors for what cannot be learnt; warnings, with numbers, for what deserves a look."""

import pytest

from kerasft.data.audit import audit_lengths, audit_sets, check_classes, class_counts
from kerasft.data.read import read_rows
from kerasft.errors import KerasftError
from kerasft.tasks import TASKS
from kerasft.training.recipe import make_recipe


def rows_of(tmp_path, pairs, name="train.csv"):
    path = tmp_path / name
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in pairs))
    return read_rows(path, text_columns=("text",), label_column="label", task_name="sentiment").rows


def many(counts, prefix="t"):
    return [(f"{prefix} {label} {i}", label) for label, count in counts.items() for i in range(count)]


def message(*arguments):
    with pytest.raises(KerasftError) as caught:
        check_classes(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_class_counts():
    assert list(class_counts(["b", "a", "b"]).items()) == [("a", 1), ("b", 2)]


def test_nothing_to_say(tmp_path):
    sets = {
        "train": rows_of(tmp_path, many({"p": 600, "n": 500})),
        "eval": rows_of(tmp_path, many({"p": 9, "n": 9}, "e"), "eval.csv"),
    }
    assert check_classes(sets, "label", ["n", "p"]) == []
    assert audit_sets(sets, ("text",), "label") == []


def test_one_class(tmp_path):
    assert message({"train": rows_of(tmp_path, many({"p": 9}))}, "label") == (
        "All 9 training rows have the label 'p': a classifier needs rows of at least two classes. "
        "Add rows of another, or check which column holds the labels."
    )


def test_too_few_distinct_texts(tmp_path):
    pairs = [*many({"p": 9, "m": 4}), *[("same", "n")] * 20]
    assert message({"train": rows_of(tmp_path, pairs)}, "label") == (
        "Too few training rows: every class needs 5 different texts, and 'm' (4), 'n' (1) have fewer. "
        "Add rows of them, merge them into another class, or remove their rows."
    )


def test_many_small_classes_point_at_the_column(tmp_path):
    text = message({"train": rows_of(tmp_path, many({f"c{i:02}": 1 for i in range(30)}))}, "label")
    assert "'c05' (1) and 24 more have fewer. Check that the label column is the right one" in text


def test_unseen_label(tmp_path):
    sets = {
        "train": rows_of(tmp_path, many({"positive": 9, "negative": 9})),
        "test": rows_of(tmp_path, [("x", "positive"), ("y", "Postive"), ("z", "Postive")], "test.csv"),
    }
    assert message(sets, "label") == (
        "test.csv row 2: label 'Postive' of the test data is not among the training labels. "
        'Did you mean "positive"? Mend the row, or add training rows of that label. 1 more row like it.'
    )


def test_class_that_the_split_held_out_whole(tmp_path):
    rows = rows_of(tmp_path, many({"p": 9, "n": 9, "rare": 2}))
    sets = {"train": rows.take(range(18)), "eval": rows.take([18, 19])}
    assert "'rare' (0) has fewer" in message(sets, "label")
    assert "'rare' (0) has fewer" in message(sets, "label", ["n", "p", "rare"])


def test_a_file_of_the_same_name_is_not_the_other_side_of_the_split(tmp_path):
    (tmp_path / "other").mkdir()
    train = rows_of(tmp_path, many({"positive": 9, "negative": 9}))
    held_out = rows_of(tmp_path / "other", [("x", "positive"), ("y", "postive")])
    expected = "train.csv row 2: label 'postive' of the eval data is not among the training labels. Did you mean"
    assert message({"train": train, "eval": held_out}, "label").startswith(expected)
    with pytest.raises(KerasftError, match=expected):
        TASKS["sentiment"].learn(
            {"train": train, "eval": held_out}, make_recipe({"task": "sentiment"}), TASKS["sentiment"]
        )


def test_declared_labels(tmp_path):
    rows = rows_of(tmp_path, many({"p": 9, "n": 9}))
    assert message({"train": rows}, "label", ["n", "p", "neutral"]) == (
        "Declared in `labels` but in no training row: 'neutral'. "
        "Add 5 rows of each or more, or take it out of `labels`."
    )
    assert message({"train": rows}, "label", ["p", "neg"]).startswith(
        "train.csv row 10: label 'n' is not among the declared labels."
    )


def test_size_warnings(tmp_path):
    sets = {
        "train": rows_of(tmp_path, many({"p": 500, "n": 400, "rare": 5})),
        "eval": rows_of(tmp_path, many({"p": 9, "n": 9}, "e"), "eval.csv"),
    }
    assert check_classes(sets, "label") == [
        "Only 905 training rows: under 1,000, results vary by some points with the seed.",
        "Under 1% of the training rows: 'rare' (5 rows, 0.55 %); expect weak results on them.",
        "No eval row has the class 'rare': how well the model knows it is not measured.",
    ]


def test_overlap_and_conflicts(tmp_path):
    train = [*many({"p": 5}), ("t p 1", "n"), ("t p 1", "n"), ("t p 3", "n"), ("t p 4", "p")]
    sets = {
        "train": rows_of(tmp_path, train),
        "eval": rows_of(tmp_path, [("new", "p"), ("t p 2", "n"), ("t p 2", "p")], "eval.csv"),
    }
    assert audit_sets(sets, ("text",), "label") == [
        "2 of 3 eval rows (66.7 %) have a text that is also in the training data, the first at eval.csv row 2: "
        "the measured quality is too high.",
        "2 texts occur with different labels, the first at train.csv row 2 ('p') and train.csv row 6 ('n'): "
        "one of each pair teaches the opposite.",
    ]


def test_lengths():
    assert audit_lengths([3, 128, 128], 128) == []
    assert audit_lengths([], 128) == []
    assert audit_lengths([100, 130, 1200], 128) == [
        "2 of 3 texts (66.7 %) are longer than 128 tokens: 1,074 of 1,430 tokens (75.1 %) are cut; "
        "the longest has 1,200."
    ]
    assert audit_lengths([5, 9], 8)[0].startswith("1 of 2 texts (50.0 %) is longer")
