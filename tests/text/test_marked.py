"""The marked word: found by any of its characters, told to the network in the family's way, always in its window."""

import numpy as np
import pytest
import tensorflow as tf

from kerasft.text.reading import read


def read_marked(text, texts, places, max_length=32):
    return read(text, {"text": tf.constant(texts)}, max_length, 8, tf.constant(places, tf.int32))


def words_of(reading, texts):
    pairs = zip(texts, reading.word.byte_start.numpy(), reading.word.byte_end.numpy(), strict=True)
    return [content.encode()[max(start, 0) : max(end, 0)].decode() for content, start, end in pairs]


SENTENCE = "a cafe\u0301 \U0001f600 was joyless, \u5317\u4eac"


@pytest.mark.parametrize(
    ("place", "word"),
    [
        (0, "a"),
        (1, ""),
        (2, "cafe\u0301"),
        (6, "cafe\u0301"),
        (8, "\U0001f600"),
        (14, "joyless"),
        (20, "joyless"),
        (21, ","),
        (23, "\u5317"),
        (24, "\u4eac"),
        (25, ""),
        (-1, ""),
        (2**31 - 1, ""),
        (-(2**31), ""),
    ],
)
def test_any_character_of_a_word_will_do(text, place, word):
    found = read_marked(text, [SENTENCE], [place])
    assert words_of(found, [SENTENCE]) == [word]
    if not word:
        assert not found.marked.numpy().any()
        assert (int(found.word.first[0]), int(found.word.behind[0])) == (-1, 0)


def test_the_network_is_told_of_the_very_word(text):
    texts = ["the film was dull and the plot was dull", "dull", "so  good", ""]
    places = [31, 0, 3, 0]
    found = read_marked(text, texts, places, 64)
    plain = read(text, {"text": tf.constant(texts)}, 64, 8)
    tokens, marked = found.tokens, found.marked.numpy()
    assert found.row.numpy().tolist() == [0, 1, 2, 3]
    for row, (content, place) in enumerate(zip(texts, places, strict=True)):
        starts, ends = (of.to_list()[row] for of in (tokens.char_starts, tokens.char_ends))
        word = content[place:].split(" ")[0]
        own = [n for n in range(len(starts)) if starts[n] < place + len(word) and ends[n] > place] if word else []
        assert found.token.numpy()[row][marked[row]].tolist() == own
        if text.family == "bert":
            # One segment, as without a mark; 1 at the word's tokens alone.
            np.testing.assert_array_equal(found.inputs["token_ids"], plain.inputs["token_ids"])
            np.testing.assert_array_equal(found.inputs["segment_ids"], marked)
        else:
            # What leads up to the word, an end, then the whole text and an end.
            ids, mask = (found.inputs[name].numpy()[row] for name in ("token_ids", "padding_mask"))
            end, whole = len(text.vocabulary) - 1, tokens.ids.to_list()[row]
            lead = whole[: own[-1] + 1][-16:] if own else []
            assert ids[mask == 1].tolist() == [*lead, end, *whole, end]
            assert set(found.token.numpy()[row][: len(lead) + 1]) <= {-1}


def test_only_the_windows_that_hold_the_word_are_read(text):
    long = "a lovely film with a very dull plot and a cast of brilliant bad cold grim stories " * 200
    places = [0, len(long) // 2 + 3, len(long) - 4, 5, 1]
    texts = [long, long, long, "a film", long]
    found = read_marked(text, texts, places, 48)
    windows = np.bincount(found.row.numpy(), minlength=5)
    assert set(windows.tolist()) <= {1, 2}
    told = [bool(found.marked.numpy()[found.row.numpy() == row].any()) for row in range(5)]
    # However far into the text the word is; and of none, the beginning is read.
    assert told == [True, True, True, True, False]
    assert found.truncated.numpy().tolist() == [True, True, True, False, True]
    assert windows[4] == 1
    assert int(found.token.numpy()[found.row.numpy() == 4].max()) < 48
    for row in np.flatnonzero(told):
        held = found.token.numpy()[found.row.numpy() == row]
        assert all(int(found.word.first[row]) in window for window in held.tolist())


def test_a_word_that_the_family_cannot_read_is_not_told(text):
    found = read_marked(text, ["good \ufffd film"], [5])
    assert words_of(found, ["good \ufffd film"]) == ["\ufffd"]
    assert found.marked.numpy().any() == (text.family == "gpt2")


def test_no_rows_at_all(text):
    found = read_marked(text, tf.zeros([0], tf.string), tf.zeros([0], tf.int32))
    assert found.row.shape == found.truncated.shape == found.word.first.shape == (0,)
    assert found.marked.shape == found.token.shape
