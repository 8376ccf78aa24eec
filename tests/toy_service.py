"""A service on a toy whose answers are digits: each digit is one token, whatever stands beside it."""

import functools

import numpy as np

from kerasft.backbones.load import load_backbone, load_text_functions
from kerasft.generation.service import Service, make_service
from kerasft.tasks import TASKS
from kerasft.tasks.task import Scheme
from kerasft.training.recipe import Writing

CONTEXT = 40


def scheme_for(task: str, **writing) -> Scheme:
    """As `Task.learn` makes it."""
    numbers = Writing(**{"max_new_tokens": 12, **writing}).model_dump(mode="json")
    return Scheme(numbers={**numbers, "template": numbers["template"] or TASKS[task].writes.template})


@functools.cache
def parts(folder):
    """A backbone that finds digits far more probable than all else, and the text functions."""
    text, backbone = load_text_functions(folder), load_backbone(folder)
    embedding = backbone.token_embedding
    table = np.random.default_rng(5).normal(scale=0.7, size=embedding.embeddings.shape)
    digits = [text.spelling.pieces.index(str(digit).encode()) for digit in range(10)]
    # The last norm shifts each hidden state far along one axis, on which digits lie on the one side and all else not.
    table[:, 0] = -3.0
    table[digits, 0] = 3.0
    norm = backbone.model.layer_norm
    norm.beta.assign(np.eye(1, table.shape[1])[0] * 10.0)
    embedding.embeddings.assign(table)
    # Places differ much, so that answers do not repeat themselves.
    places = backbone.model.position_embedding.position_embeddings
    places.assign(np.random.default_rng(6).normal(scale=2.0, size=places.shape))
    return backbone, text


def digit_service(folder, task: str = "text-generation", context: int = CONTEXT, **writing) -> Service:
    """Of a toy GPT-2 in a folder."""
    backbone, text = parts(folder)
    return make_service(TASKS[task], text, backbone, scheme_for(task, **writing), context)


def asked(service: Service, name: str, **inputs) -> dict[str, np.ndarray]:
    """One signature's answer, as arrays."""
    import tensorflow as tf

    signature = service.signatures[name]
    tensors = {alias: tf.constant(value, signature.inputs[alias].dtype) for alias, value in inputs.items()}
    return {alias: value.numpy() for alias, value in signature.function(**tensors).items()}
