"""Memory that is held for nothing goes back to the system, and nothing breaks."""

import platform
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


FREED = """
import ctypes
from kerasft.serving.resident import give_back_freed

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = (ctypes.c_void_p,)
blocks = [libc.malloc(4000) for _ in range(50_000)]
for block in blocks:
    ctypes.memset(block, 1, 4000)
for block in blocks[:-1]:  # the last one keeps the heap from shrinking by itself
    libc.free(block)
before = resident()
give_back_freed()
print(before - resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries keep less, and cannot be told")
def test_what_was_freed_goes_back_to_the_system():
    done = subprocess.run([sys.executable, "-c", FREED], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 150e6
