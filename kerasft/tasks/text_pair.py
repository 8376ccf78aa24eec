"""Pairs of texts -> one label: entailment, paraphrase, answer or not."""

import dataclasses

from kerasft.tasks import text_classification

TASK = dataclasses.replace(
    text_classification.TASK,
    name="text-pair",
    summary="two texts -> one label: entailment, paraphrase, same question or not",
    text_columns=("text", "text_pair"),
    example={"text": "A man sleeps on a bench.", "text_pair": "Someone is asleep.", "label": "entailment"},
    answer={"label": "entailment", "score": 0.88, "probabilities": [0.03, 0.88, 0.09], "truncated": False},
    starter="text-pair.csv",
)
