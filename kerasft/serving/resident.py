"""What the process holds in memory that it need not: pages of the libraries that it has loaded, and memory freed.

TensorFlow's library is some 400 MB of pages, nearly all of which are read once: when it is loaded and registers what it
has. They count as resident until the system needs the room.
"""

import ctypes
import re
from pathlib import Path

_SMAPS = Path("/proc/self/smaps")
_DONTNEED = 4  # linux/mman.h, MADV_DONTNEED
_HEADER = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) (\S{4}) \S+ \S+ \d+\s*(.*)$")
_LEAST_KB = 1024


def forget_library_pages() -> int:
    """Gives back the pages of shared libraries that nothing has written to. Those that are needed again come back at
    the next touch, from the system's own copy of the file.

    Returns:
        Bytes given back; 0 on a system without `/proc/self/smaps`.
    """
    try:
        lines = _SMAPS.read_text().splitlines()
    except OSError:
        return 0
    libc = ctypes.CDLL(None, use_errno=True)
    libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    given_back = 0
    for start, end, sizes in _libraries(lines):
        # A page with relocations in it was written to before it was made read-only: dropped, they would be lost.
        is_clean = not (sizes["Anonymous"] or sizes["Private_Dirty"] or sizes["Shared_Dirty"])
        if is_clean and sizes["Rss"] >= _LEAST_KB and libc.madvise(start, end - start, _DONTNEED) == 0:
            given_back += sizes["Rss"] * 1024
    return given_back


def give_back_freed() -> None:
    """Gives the system back what the C library keeps of memory that was freed, as TensorFlow Serving does after it has
    unloaded a version (core/simple_loader.h). Does nothing where the C library is not glibc.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(ctypes.c_size_t(0))


def _libraries(lines: list[str]) -> list[tuple[int, int, dict[str, int]]]:
    """Start, end and sizes in kB of each mapping of a library that cannot be written to."""
    found: list[tuple[int, int, dict[str, int]]] = []
    sizes: dict[str, int] = {}
    for line in lines:
        if header := _HEADER.match(line):
            sizes = {}
            start, end, rights, path = header.groups()
            if "w" not in rights and rights.endswith("p") and ".so" in Path(path).name:
                found.append((int(start, 16), int(end, 16), sizes))
        else:
            name, _, value = line.partition(":")
            if value.endswith("kB"):
                sizes[name] = int(value.split()[0])
    return found
