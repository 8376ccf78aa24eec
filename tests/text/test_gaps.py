"""`[MASK]` in a raw text is a gap, whatever is round it; nothing else is."""

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasft.backbones.load import load_text_functions
from kerasft.backbones.view import BEGINS, CONTINUES, NEVER
from kerasft.text.fillings import byte_pair_filling, wordpiece_filling
from kerasft.text.gaps import best_pieces, fill, read_gaps
from tests.toy import VOCABULARY


def read(text, *texts, max_length=32):
    return read_gaps(text, {"text": tf.constant(list(texts))}, max_length)


def ids_of(text, part):
    return text.tokenize(tf.constant([part])).ids.values.numpy().tolist()


def filled(text, logits, gaps, words=5):
    found = best_pieces(tf.constant(logits, tf.float32), text.filling(), words)
    return [np.asarray(value) for value in fill(found, gaps, words)]


def test_the_text_round_a_gap_is_tokenised_as_text(text):
    mask, blank = text.filling().mask, "" if text.filling().takes_blank else " "
    gaps = read(text, "a [MASK] film[MASK]!", "[CLS] a [mask] [MASK ] film", "[MASK]")
    kept = gaps.inputs["padding_mask"].numpy().astype(bool)
    tokens = [row[mask].tolist() for row, mask in zip(gaps.inputs["token_ids"].numpy(), kept, strict=True)]
    begin, end = (1, -1) if text.family == "bert" else (0, -1)
    expected = [*ids_of(text, f"a{blank}"), mask, *ids_of(text, " film"), mask, *ids_of(text, "!")]
    assert tokens[0][begin:end] == expected
    assert tokens[1][begin:end] == ids_of(text, "[CLS] a [mask] [MASK ] film")
    assert tokens[2][begin:end] == [mask]
    assert gaps.count.numpy().tolist() == [2, 0, 1]
    row, place = np.nonzero(np.arange(2) < gaps.count.numpy()[:, None])
    chosen = gaps.inputs["chosen"].numpy()
    assert all(gaps.inputs["token_ids"].numpy()[row, chosen[row, place]] == mask)
    assert chosen[1].tolist() == [0, 0]
    assert not gaps.truncated.numpy().any()


def test_a_gap_behind_the_cut_stays_and_the_answer_says_so(text):
    gaps = read(text, "a [MASK] film " + "very " * 20 + "[MASK]", "a [MASK]", max_length=12)
    assert gaps.count.numpy().tolist() == [1, 1]
    assert gaps.truncated.numpy().tolist() == [True, False]
    logits = np.zeros((2, 1, len(text.vocabulary)), np.float32)
    words, scores, texts = filled(text, logits, gaps)
    assert texts[0].decode().endswith("very [MASK]")
    assert texts[0].decode().count("[MASK]") == 1
    assert words.shape == scores.shape == (2, 1, 5)


def test_no_row_and_no_gap(text):
    for texts in ([], ["a film", ""]):
        gaps = read_gaps(text, {"text": tf.constant(texts, tf.string)}, 32)
        words, scores, back = filled(text, np.zeros((len(texts), 0, len(text.vocabulary))), gaps)
        assert words.shape == scores.shape == (len(texts), 0, 5)
        assert back.tolist() == [one.encode() for one in texts]


PARTS = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="[]"), max_size=6),
    st.sampled_from(["[MASK]", " ", "film", "a ", "[MASK", "MASK]", "[[MASK]]", "\u5317", "[SEP]", "caf\u00e9"]),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(PARTS, max_size=8).map("".join), min_size=1, max_size=3), st.integers(0, 2**32 - 1))
def test_every_gap_that_is_read_is_filled_and_the_rest_is_untouched(text, texts, seed):
    gaps = read(text, *texts, max_length=24)
    width = gaps.inputs["chosen"].shape[1]
    logits = np.random.default_rng(seed).normal(size=(len(texts), width, len(text.vocabulary)))
    words, scores, back = filled(text, logits, gaps)
    counts = gaps.count.numpy()
    assert width == counts.max()
    for row, raw in enumerate(texts):
        pieces = raw.split("[MASK]")
        count = int(counts[row])
        if not gaps.truncated.numpy()[row]:
            assert count == len(pieces) - 1
        best = [word.decode() for word in words[row, :count, 0]]
        assert all(best)
        assert all(np.diff(scores[row, :count]).reshape(-1) <= 0)
        assert set(words[row, count:].reshape(-1).tolist()) <= {b""}
        inside = [*best, *["[MASK]"] * (len(pieces) - 1 - count)]
        expected = "".join(part + word for part, word in zip(pieces, [*inside, ""], strict=True))
        assert back[row].decode() == expected


def logits_for(text, *wanted):
    """One gap a row; the pieces wanted are the best, in that order."""
    logits = np.zeros((1, 1, len(text.vocabulary)), np.float32)
    for number, piece in enumerate(wanted):
        logits[0, 0, text.vocabulary.index(piece)] = 20.0 - number
    return logits


def test_bert_goes_on_with_a_word_only_behind_a_letter(toy_backbone):
    text = load_text_functions(toy_backbone)
    logits = logits_for(text, "[SEP]", "[MASK]", "##s", "good", "##x", ".", "bad")
    cases = {
        "a [MASK] film": ("a good film", ["good", ".", "bad"]),
        "two film[MASK] here": ("two films here", ["s", "x"]),
        "film-[MASK]": ("film-good", ["good", ".", "bad"]),
        "film [MASK]": ("film good", ["good", ".", "bad"]),
        "\u5317[MASK]": ("\u5317good", ["good", ".", "bad"]),
        "[MASK]ing": ("gooding", ["good", ".", "bad"]),
    }
    for raw, (expected, best) in cases.items():
        gaps = read(text, raw)
        words, scores, back = filled(text, logits, gaps)
        assert back[0].decode() == expected
        assert [word.decode() for word in words[0, 0, : len(best)]] == best
        assert scores[0, 0].sum() <= 1.0 + 1e-6
        assert scores[0, 0, 0] > 0.7


def test_gpt2_takes_the_blank_into_the_gap(toy_gpt2):
    text = load_text_functions(toy_gpt2)
    led = next(piece for piece in text.vocabulary if piece.startswith("\u0120") and piece[1:].isalpha() and piece[3:])
    logits = logits_for(text, led, "s", "t")
    words, _, back = filled(text, logits, read(text, "a [MASK] film"))
    assert back[0].decode() == f"a {led[1:]} film"
    assert words[0, 0, 0].decode() == led[1:]
    words, _, back = filled(text, logits, read(text, "film[MASK] of"))
    assert back[0].decode() == "films of"
    assert [word.decode() for word in words[0, 0, :2]] == ["s", "t"]


def test_few_pieces_of_a_kind_leave_places_empty():
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "##b"]
    filling = wordpiece_filling(vocabulary, "[MASK]")
    found = best_pieces(tf.zeros([1, 1, len(vocabulary) + 2]), filling, 3).numpy().reshape(2, 2, 3)
    np.testing.assert_allclose(found[:, 0], [[1, 0, 0], [1, 0, 0]])
    assert found[:, 1].tolist() == [[5, 0, 0], [6, 0, 0]]


def test_the_pieces_of_the_two_vocabularies():
    bert = wordpiece_filling(VOCABULARY, "[MASK]")
    assert bert.mask == VOCABULARY.index("[MASK]")
    assert [VOCABULARY[number] for number in bert.special] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    kinds = dict(zip(VOCABULARY, bert.kinds.tolist(), strict=True))
    assert (kinds["[CLS]"], kinds["["], kinds["good"], kinds["##g"]) == (NEVER, BEGINS, BEGINS, CONTINUES)
    assert bert.words[VOCABULARY.index("##g")] == "g"
    assert wordpiece_filling(["[UNK]", "a"], "[MASK]").mask is None

    tokens = [b" film", b"film", b" ", b"\n", b"\xc3", b" \xc3", "\u00e9".encode(), b"  a", None]
    gpt2 = byte_pair_filling(tokens, mask=8)
    assert gpt2.kinds.tolist() == [BEGINS, CONTINUES, NEVER, NEVER, NEVER, NEVER, CONTINUES, NEVER, NEVER]
    assert gpt2.words == ("film", "film", "", "", "", "", "\u00e9", "", "")
    assert (gpt2.mask, gpt2.special) == (8, (8,))
