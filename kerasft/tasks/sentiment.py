"""Sentiment: text classification with starter data and an order for its two usual labels."""

import dataclasses

from kerasft.tasks import text_classification

TASK = dataclasses.replace(
    text_classification.TASK,
    name="sentiment",
    summary="a review or remark -> negative or positive (or the labels in your data)",
    example={"text": "A joyless film.", "label": "negative"},
    answer={"label": "negative", "score": 0.97, "probabilities": [0.97, 0.03], "truncated": False},
    labels=("negative", "positive"),
    starter="sentiment.csv",
)
