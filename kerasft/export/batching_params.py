"""`batching_params.pbtxt`: how requests to this model are joined, for servers that are told to ask the model.

It lies beside `saved_model.pb` and not in `assets.extra`: there `tensorflow_model_server` looks for it
(servables/tensorflow/bundle_factory_util.cc).
"""

from pathlib import Path

from kerasft.serving.config_files import BATCHING_PARAMS

_MOST_TOKENS = 4096  # of a run: 32 rows of 128 take a small model (MiniLM) about a second on 2 cores
_MOST_ROWS = 32
_MOST_WRITTEN = 8  # rows: each has a cache as long as the context, and all wait for the longest answer

_TEXT = """\
# How requests to this model are joined: BatchingParameters as text. A server reads it here with
# --enable_batching --enable_per_model_batching_parameters, and for its only model it may be the
# --batching_parameters_file. Values to begin with: measure with your cores and texts.

# Rows of one run of the model, counted over the requests that it joins. {why}
max_execution_batch_size {{ value: {rows} }}

# Rows of one request. More than fit one run are split; more than this are refused as INVALID_ARGUMENT (400).
enable_large_batch_splitting {{ value: true }}
max_batch_size {{ value: {most} }}

# How long the first request of a batch may wait for others. Not at all: while all threads are busy requests gather by
# themselves, and a lone client would pay for it on every request.
batch_timeout_micros {{ value: 0 }}

# Beyond this many waiting batches a request is refused at once (UNAVAILABLE, 503), and clients try again later.
max_enqueued_batches {{ value: {waiting} }}

# No num_batch_threads: all models share the threads, so they are set for the server, in its
# --batching_parameters_file; by default there are as many as cores.
# No allowed_batch_sizes: the graph takes any number of rows, so that a row of padding is work for nothing.
"""


def write_batching_params(folder: Path, max_length: int, writes: bool) -> None:
    """Writes the file into a version folder.

    Args:
        folder: the one with `saved_model.pb`.
        max_length: tokens of a row, or of a window over it.
        writes: whether the task writes texts.
    """
    rows = max(1, min(_MOST_WRITTEN if writes else _MOST_ROWS, _MOST_TOKENS // max_length))
    why = f"Rows have up to {max_length} tokens,\n# and all rows of a run are answered together, after the longest."
    if writes:
        why = "A run ends with its longest\n# answer, and each row needs memory for a whole context."
    text = _TEXT.format(rows=rows, most=8 * rows, waiting=16 if writes else 64, why=why)
    (folder / BATCHING_PARAMS).write_text(text)
