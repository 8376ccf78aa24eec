"""What peer_tasks.py needs for tasks that say something of each token: tags of words, and answers in a context.

As Hugging Face's own example scripts do it: a linear layer on each token; the first piece of each word is tagged; long
contexts are read in windows, and an answer is the best pair of first and last token in any of them.
"""

from typing import Any

import numpy as np
import torch
from answer_figures import answer_figures
from transformers import AutoModel
from word_spans import span_figures, spans_of

NO_TARGET = -100  # torch's cross-entropy passes over it, and the collator fills up with it
STRIDE = 128  # tokens that two windows of a context share
LONGEST_ANSWER = 30  # tokens
BEST = 20  # first tokens, and last tokens, that are paired in each window


class PerToken(torch.nn.Module):
    """Backbone, dropout 0.1, a linear layer on each token."""

    def __init__(self, folder: str, outputs: int):
        super().__init__()
        self.backbone = AutoModel.from_pretrained(folder, add_pooling_layer=False, dtype=torch.float32)
        self.dropout = torch.nn.Dropout(0.1)
        self.head = torch.nn.Linear(self.backbone.config.hidden_size, outputs)
        torch.nn.init.trunc_normal_(self.head.weight, std=0.02)
        torch.nn.init.zeros_(self.head.bias)

    def forward(self, input_ids, attention_mask, token_type_ids=None, labels=None):
        del labels  # Trainer takes the targets for its loss, and finds out by this name that there are any
        states = self.backbone(input_ids, attention_mask, token_type_ids).last_hidden_state
        return {"logits": self.head(self.dropout(states)).float()}


class Sequences(torch.utils.data.Dataset):
    """Tokenised rows, or windows of rows, with targets for their tokens.

    Attributes:
        rows: as read.
        row: of each sequence, the number of its row.
        places: of each sequence, what the task knows of its tokens.
    """

    def __init__(self, rows: list[dict], row: list[int], tokens: Any, targets: list[list[int]], places: list):
        self.rows, self.row, self.tokens, self.targets, self.places = rows, row, tokens, targets, places

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, index):
        return {**{name: values[index] for name, values in self.tokens.items()}, "labels": self.targets[index]}


def tag_names(labels: list[str]) -> list[str]:
    """`O, B-x, I-x, B-y, …`."""
    return ["O", *(f"{prefix}-{label}" for label in labels for prefix in "BI")]


def tag_ids(row: dict, labels: list[str]) -> list[int]:
    """The tag of each word, by its place among `tag_names`; the first word of a span is B, whatever the file says."""
    ids = [0] * len(row["tags"])
    for start, end, label in spans_of(row["tags"]):
        first = 1 + 2 * labels.index(label)
        ids[start:end] = [first, *[first + 1] * (end - start - 1)]
    return ids


def tagged_words(rows: list[dict], kind: Any, labels: list[str], tokenizer, max_length: int) -> Sequences:
    """Sentences with the tag of each word at its first piece; `places` has the first piece of each word not cut off."""
    words = [row["tokens"] for row in rows]
    tokens = tokenizer(words, is_split_into_words=True, truncation=True, max_length=max_length)
    targets, first_pieces = [], []
    for number, row in enumerate(rows):
        word_of_piece = tokens.word_ids(number)
        first_piece: dict[int, int] = {}
        for piece, word in enumerate(word_of_piece):
            if word is not None:
                first_piece.setdefault(word, piece)
        ids, target = kind.target(row, labels), [NO_TARGET] * len(word_of_piece)
        for word, piece in first_piece.items():
            target[piece] = ids[word]
        targets.append(target)
        first_pieces.append(first_piece)
    return Sequences(rows, list(range(len(rows))), tokens, targets, first_pieces)


def tag_figures(logits: np.ndarray, held_out: Sequences, labels: list[str]) -> dict[str, float]:
    """Of the spans in all words; a word that was cut off, or that has no piece, is O.

    The borders of these spans are words' own, so that F1 over characters, kerasft's own, and over words are the same.
    """
    names = tag_names(labels)
    found = []
    for scores, row, first_piece in zip(logits, held_out.rows, held_out.places, strict=True):
        tags = ["O"] * len(row["tokens"])
        for word, piece in first_piece.items():
            tags[word] = names[scores[piece].argmax()]
        found.append(spans_of(tags))
    figures = span_figures([spans_of(row["tags"]) for row in held_out.rows], found)
    return {**figures, "word_f1": figures["f1"]}


def first_answer(row: dict, learnt: None = None) -> tuple[int, int]:
    """First character, and the one behind the last, of the answer that is trained on."""
    answer = row["answers"][0]
    return answer["answer_start"], answer["answer_start"] + len(answer["text"])


def windows(rows: list[dict], kind: Any, learnt: None, tokenizer, max_length: int) -> Sequences:
    """Questions with windows of their contexts; `places` has the characters of each token of the context, else None.

    The target is the answer's first and last token, or 0 twice where a window has not all of it.
    """
    tokens = tokenizer(
        [row["question"].lstrip() for row in rows],
        [row["text"] for row in rows],
        truncation="only_second",
        max_length=max_length,
        stride=STRIDE,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    row_of_window = tokens.pop("overflow_to_sample_mapping")
    places = [
        [tuple(pair) if part == 1 else None for pair, part in zip(pairs, tokens.sequence_ids(window), strict=True)]
        for window, pairs in enumerate(tokens.pop("offset_mapping"))
    ]
    answers = [kind.target(row, learnt) for row in rows]
    targets = [_answer_tokens(its, *answers[row]) for its, row in zip(places, row_of_window, strict=True)]
    return Sequences(rows, row_of_window, tokens, targets, places)


def _answer_tokens(places: list, start: int, end: int) -> list[int]:
    held = [token for token, place in enumerate(places) if place and place[1] > start and place[0] < end]
    whole = held and places[held[0]][0] <= start and places[held[-1]][1] >= end
    return [held[0], held[-1]] if whole else [0, 0]


def answers_from(logits: np.ndarray, held_out: Sequences) -> list[str]:
    """The best part of each row's context by the sum of the scores of its first and last token; "" if there is none."""
    best = [(-np.inf, "")] * len(held_out.rows)
    for scores, row, places in zip(logits, held_out.row, held_out.places, strict=True):
        scores = scores[: len(places)]
        starts, ends = (np.argsort(-scores[:, side])[:BEST] for side in (0, 1))
        for first in starts:
            for last in ends:
                score = scores[first, 0] + scores[last, 1]
                allowed = places[first] and places[last] and first <= last < first + LONGEST_ANSWER
                if allowed and score > best[row][0]:
                    best[row] = score, held_out.rows[row]["text"][places[first][0] : places[last][1]]
    return [answer for _, answer in best]


def question_figures(logits: np.ndarray, held_out: Sequences, learnt: None = None) -> dict[str, float]:
    """Exact match and F1 of one answer to each question."""
    truth = [[answer["text"] for answer in row["answers"]] for row in held_out.rows]
    return answer_figures(truth, answers_from(logits, held_out))
