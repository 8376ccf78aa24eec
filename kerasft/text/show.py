"""The tokens of texts, for people and for tests in other languages: pieces, ids, character offsets."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from kerasft.backbones.load import load_text_functions
from kerasft.backbones.locate import locate
from kerasft.data.read import read_rows
from kerasft.start import start_tensorflow
from kerasft.training.progress import say

_ROWS = 256


def token_rows(backbone: str, texts: Any, columns: Mapping[str, str]) -> Iterator[tuple[str, dict[str, list]]]:
    """Tokenises texts through the graph function that training and serving use.

    Args:
        backbone: as `fit` takes it; a folder with nothing but a vocabulary will do.
        texts: a list of strings, or a source of rows with a column `text`.
        columns: `{"text": name}` where the column has another name.

    Yields:
        Each text, and its `ids`, `pieces` and `offsets` ([start, end) in characters), without special tokens.
    """
    if not (isinstance(texts, list) and all(isinstance(text, str) for text in texts)):
        read = read_rows(texts, text_columns=("text",), label_column=None, columns=columns, task_name="tokens")
        texts = read.rows.column("text")
    start_tensorflow()
    functions = load_text_functions(locate(backbone, say, weights=False))

    import tensorflow as tf

    tokenize = tf.function(functions.tokenize, input_signature=[tf.TensorSpec([None], tf.string)])
    for start in range(0, len(texts), _ROWS):
        # A lone surrogate (a file name, a broken terminal) has no UTF-8: it is data all the same.
        some = [text.encode("utf-8", errors="surrogateescape") for text in texts[start : start + _ROWS]]
        tokens = tokenize(tf.constant(some, tf.string))
        bounds = tokens.ids.row_splits.numpy()
        ids = tokens.ids.values.numpy()
        offsets = np.stack([tokens.char_starts.values.numpy(), tokens.char_ends.values.numpy()], axis=1)
        for row, text in enumerate(texts[start : start + _ROWS]):
            span = slice(bounds[row], bounds[row + 1])
            pieces = [functions.vocabulary[number] for number in ids[span]]
            yield text, {"ids": ids[span].tolist(), "pieces": pieces, "offsets": offsets[span].tolist()}
