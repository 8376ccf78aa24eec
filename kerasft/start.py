"""TensorFlow is imported here first: it takes seconds, and prints start-up notes from C++ that no setting silences."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any


def start_tensorflow(first: Callable[[], Any] = lambda: None) -> Any:
    """Imports TensorFlow, TF Text and Keras, without their start-up notes where TF_CPP_MIN_LOG_LEVEL is 3.

    The command line sets it so unless the user did; a library's user decides alone.

    Args:
        first: is called before TensorFlow has looked for devices; after that they cannot be arranged any more.

    Returns:
        What `first` returns.
    """
    with _held_back() if os.environ.get("TF_CPP_MIN_LOG_LEVEL") == "3" else contextlib.nullcontext():
        import keras  # noqa: F401
        import tensorflow
        import tensorflow_text  # noqa: F401

        made = first()
        # The first look for devices prints notes too.
        tensorflow.config.list_logical_devices()
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL") == "3":
        # Each phase traces its functions anew, by design; TensorFlow takes that for a mistake.
        tensorflow.get_logger().setLevel("ERROR")
    return made


@contextlib.contextmanager
def _held_back() -> Iterator[None]:
    """Keeps what C++ writes to standard error's descriptor; shows it after all if the body fails."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(kept, 2)
            held.seek(0)
            sys.stderr.write(held.read().decode(errors="replace"))
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
