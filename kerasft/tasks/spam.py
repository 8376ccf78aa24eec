"""Spam: text classification of messages, watched by a figure that the rarer class counts in as much."""

import dataclasses

from kerasft.tasks import text_classification

TASK = dataclasses.replace(
    text_classification.TASK,
    name="spam",
    summary="a message -> ham or spam (or the labels in your data)",
    headline="macro_f1",
    example={"text": "You won a prize, reply with your card number!", "label": "spam"},
    answer={"label": "spam", "score": 0.98, "probabilities": [0.02, 0.98], "truncated": False},
    labels=("ham", "spam"),
    starter="spam.csv",
)
