"""CoNLL-U Plus with PropBank's columns, in both ways of writing roles."""

import gzip
import json

import pytest

from kerasft.data.prepare import read_for
from kerasft.errors import KerasftError
from kerasft.tasks.semantic_role_labeling import TASK


def line(number, form, *rest, misc="_"):
    """A line of ten columns, and more."""
    return "\t".join([str(number), form, form.lower(), *"______", misc, *rest])


def sentence(*lines, text=None):
    return "\n".join([*([f"# text = {text}"] if text is not None else []), *lines, "", ""])


def rows_of(tmp_path, content, name="rows.conllu", **options):
    path = tmp_path / name
    path.write_bytes(content.encode())
    rows = read_for(TASK, path, **options).rows
    columns = (rows.column(column) for column in rows.table.column_names)
    return [(text, int(place), *map(json.loads, roles)) for text, place, *roles in zip(*columns, strict=True)]


TWO = sentence(
    line(1, "Otto", "_", "ARG0", "ARG0"),
    line(2, "woke", "wake.01", "V", "_"),
    line(3, "and", "_", "_", "_", ""),
    line(4, "left", "leave.01", "_", "V"),
    line(5, "Graz", "_", "_", "ARG1", misc="SpaceAfter=No"),
    line(6, ".", "_", "_", "_", misc="_"),
    text="Otto woke  and left Graz.",
)
NONE = sentence(line(1, "Hm", "_", ""), text="Hm")


def test_a_row_for_each_predicate(tmp_path):
    # The text of the comment, with its two spaces; the mark V is no role.
    expected = [
        ("Otto woke  and left Graz.", 5, [[0, 4, "ARG0"]]),
        ("Otto woke  and left Graz.", 15, [[0, 4, "ARG0"], [20, 24, "ARG1"]]),
    ]
    assert rows_of(tmp_path, TWO + NONE) == expected
    assert rows_of(tmp_path, TWO.replace("\n", "\r\n")) == expected
    path = tmp_path / "rows.conllup.gz"
    path.write_bytes(gzip.compress(TWO.encode()))
    rows = read_for(TASK, path).rows
    assert rows.column("predicate") == ["5", "15"]
    # A row is found again by its predicate's line.
    assert rows.place(1) == "rows.conllup.gz line 5"


def test_tokens_are_joined_where_the_comment_does_not_hold_them(tmp_path):
    for text in (None, "Otto woke and left Linz.", "Otto woke and left Graz. Then", ""):
        content = TWO.replace("# text = Otto woke  and left Graz.", f"# text = {text}" if text is not None else "# x")
        assert [row[0] for row in rows_of(tmp_path, content)] == ["Otto woke and left Graz."] * 2


def test_a_file_without_roles_can_be_asked_about_but_not_learnt_from(tmp_path):
    content = sentence(line(1, "Otto", "_"), line(2, "slept", "sleep.01"))
    assert rows_of(tmp_path, content, labelled=False) == [("Otto slept", 5)]
    with pytest.raises(KerasftError, match="needs a column 'roles'"):
        rows_of(tmp_path, content)


def test_tokens_of_several_words_and_empty_nodes(tmp_path):
    content = sentence(
        line("1-2", "Ida'll", "_", ""),
        line(1, "Ida", "_", "A0", "A0"),
        line(2, "'ll", "_", "AM-MOD", "_"),
        line(3, "run", "run.01", "V", "_"),
        # A predicate that is not in the text has a column too, and an empty node may have a role.
        line("3.1", "run", "run.01", "A1", "V"),
        line("4-5", "zum", "_", "", misc="SpaceAfter=No"),
        line(4, "zu", "_", "_", "_"),
        line(5, "dem", "_", "A2", "_"),
        line(6, ".", "_", "_", "_"),
    )
    roles = [[0, 3, "A0"], [3, 6, "AM-MOD"], [11, 14, "A2"]]
    assert rows_of(tmp_path, content) == [("Ida'll run zum.", 7, roles)]


def test_two_roles_at_one_token_are_one(tmp_path):
    content = sentence(
        line("1-2", "dámelo"), line(1, "da", "dar.01", "V"), line(2, "lo", "_", "A1"), line(3, "ya", "_", "A2")
    )
    assert rows_of(tmp_path, content) == [("dámelo ya", 0, [[0, 6, "A1"], [7, 9, "A2"]])]


PLUS = "# global.columns = ID FORM LEMMA UPOS XPOS FEATS HEAD DEPREL DEPS MISC UP:PRED UP:ARGHEADS UP:ARGSPANS\n"


def test_roles_at_their_predicate(tmp_path):
    content = PLUS + sentence(
        line(1, "Otto", "_", "_", "_"),
        line(2, "woke", "wake.01", "A0:1", "A0:1-1"),
        line(3, "and", "_", "_", "_"),
        line(4, "left", "leave.01", "AM-TMP:6|A0:1|A1:5", "_"),
        line(5, "Graz", "_", "_", "_"),
        line(6, "today", "_", "_", "_"),
    )
    assert rows_of(tmp_path, content, "rows.conllup") == [
        ("Otto woke and left Graz today", 5, [[0, 4, "A0"]]),
        ("Otto woke and left Graz today", 14, [[0, 4, "A0"], [19, 23, "A1"], [24, 29, "AM-TMP"]]),
    ]
    with pytest.raises(KerasftError, match=r"line 2: line 3 has the roles 'A0:9', expected as in A0:3\|A1:7"):
        rows_of(tmp_path, content.replace("A0:1\t", "A0:9\t"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            sentence(line(1, "Otto", "_"), line(2, "woke", "wake.01", "V")),
            "line 1: line 1 has 0 columns of roles, its sentence 1 predicate. Mend the sentence",
        ),
        (
            sentence(line(1, "Otto", "_", "A0", "A1"), line(2, "woke", "wake.01", "V", "_")),
            "line 1: line 1 has 2 columns of roles, its sentence 1 predicate",
        ),
        ("# text = x\nOtto\tslept\n", "line 2: line 2 begins with 'Otto', expected a number and columns by tabs"),
        (sentence("1 Otto _ _"), "line 1 begins with '1 Otto _ _', expected a number"),
        (sentence(line(1, "Otto", "_")), "line 1: no word of the file has a roleset in column 11"),
        ("# global.columns = ID UP:PRED UP:ARGHEADS\n1\trun.01\t_\n", "global.columns names no FORM. Merge the file"),
    ],
)
def test_what_is_no_such_file_is_told_with_its_line(tmp_path, content, message):
    with pytest.raises(KerasftError) as caught:
        rows_of(tmp_path, content)
    assert message in str(caught.value)


def test_a_faulty_sentence_can_be_skipped(tmp_path):
    path = tmp_path / "rows.conllu"
    path.write_text(TWO + sentence(line(1, "Otto", "_"), line(2, "woke", "wake.01", "V")))
    read = read_for(TASK, path, on_bad_row="skip")
    assert (len(read.rows), len(read.skipped)) == (2, 1)
