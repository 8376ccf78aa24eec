"""Memory that the libraries' own pages take: given back, and nothing breaks."""

import subprocess
import sys

import pytest

CODE = """
import sys
import numpy as np
from kerasft.serving.loaded import load
from kerasft.serving.resident import forget_library_pages

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

loaded = load("m", 124, sys.argv[1])
def ask():
    return loaded.run("serving_default", {"x": np.array([2.0], np.float32)}, ["y"])["y"].tolist()
assert ask() == [3.0]
before = resident()
given = forget_library_pages()
after = resident()
assert [ask() for _ in range(100)] == [[3.0]] * 100
print(given, before - after, resident() - after)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux says what is mapped")
def test_library_pages_are_given_back_and_what_is_needed_returns(half_plus_two):
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(half_plus_two / "00000124")], capture_output=True, text=True, check=True
    )
    given, less, again = map(int, done.stdout.split())
    assert less > 0.8 * given > 100e6
    assert again < 0.5 * given
