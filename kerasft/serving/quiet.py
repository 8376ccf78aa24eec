"""TensorFlow's start-up chatter (processor features, missing CUDA), held back."""

import os
import sys

from kerasft.export.capi import library


def hush() -> None:
    """Loads TensorFlow's library without what it says then, where `TF_CPP_MIN_LOG_LEVEL` is 1 or more.

    The library says it before it reads that variable; Python's `import tensorflow` has a way of its own to prevent it.
    Nothing is lost that matters: a library that does not load is an exception.
    """
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL", "0") == "0":
        library()
        return
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        library()
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
