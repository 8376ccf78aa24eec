"""Topic: text classification with starter data from the news desk."""

import dataclasses

from kerasft.tasks import text_classification

TASK = dataclasses.replace(
    text_classification.TASK,
    name="topic",
    summary="a text -> what it is about",
    example={"text": "The keeper saved two penalties in the final.", "label": "sport"},
    answer={"label": "sport", "score": 0.91, "probabilities": [0.09, 0.91], "truncated": False},
    starter="topic.csv",
)
