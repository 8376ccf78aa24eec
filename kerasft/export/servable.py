"""What a stock TensorFlow Serving can run: every op of a SavedModel against the ops that its releases link.

The lists in `ops/` were read from TensorFlow's own registries and from TensorFlow Serving 2.20's build file. A newer
attribute does not keep an older server from loading ("Unknown attributes will be ignored", it logs), but it does
change the answer; so it counts as well. Releases before 2.12 were not looked at.
"""

import functools
import importlib.resources
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from kerasft.errors import KerasftError
from kerasft.export.capi import DTYPES
from kerasft.export.messages import messages
from kerasft.export.session import Signature, signatures_of

OLDEST = "2.12"
SIZE_LIMIT = 1.05
SIZE_ALLOWANCE = 4 << 20  # bytes: graph, vocabulary and proof of a toy model weigh more than its weights
_TABLES = re.compile(r"(Anonymous)?Mutable.*Table|LookupTable(Insert|Remove)(V2)?$")
_WRITES = re.compile(
    r"Assign(Add|Sub)?(VariableOp)?$|Resource(Scatter|Apply|SparseApply|StridedSliceAssign)|Scatter(Add|Sub|Mul|Div|Min|"
    r"Max|Update)$|Rng(Skip|ReadAndSkip)(V2)?$|Stateful(Uniform|StandardNormal|TruncatedNormal|RandomBinomial)"
)


@dataclass(frozen=True)
class Inspection:
    """What a SavedModel's files say, without running them.

    Attributes:
        problems: one line each: why a stock server cannot run it, or what in it can change between requests.
        ops: op -> the functions that use it; the main graph is "the graph".
        reached: signature -> the ops that a request to it may run.
        signatures: by name.
        lowest_release: the lowest TensorFlow Serving release that has all of it ("2.12" for that one or an older one).
        because: what asks for that release; None for the oldest.
        weights_bytes: the variables that requests read, each counted once.
        variables_bytes: the files of `variables/`.
        folder_bytes: all files.
        tensorflow: the release that wrote it.
    """

    problems: tuple[str, ...]
    ops: dict[str, tuple[str, ...]]
    reached: dict[str, frozenset[str]]
    signatures: dict[str, Signature]
    lowest_release: str
    because: str | None
    weights_bytes: int
    variables_bytes: int
    folder_bytes: int
    tensorflow: str

    @property
    def oversize(self) -> str | None:
        """Says by how much the folder is too large for its weights; None when it is not."""
        if self.folder_bytes - self.weights_bytes <= max((SIZE_LIMIT - 1) * self.weights_bytes, SIZE_ALLOWANCE):
            return None
        sizes = f"{self.folder_bytes / 1e6:.1f} MB for {self.weights_bytes / 1e6:.1f} MB of weights"
        return f"{sizes}: more than {SIZE_LIMIT} times; something is stored twice, or is not used by any signature"


@functools.cache
def _table(name: str) -> dict[str, str]:
    """Reads `ops/NAME.txt`: name -> the first release that has it (`OLDEST` where the line names none)."""
    text = importlib.resources.files("kerasft.export").joinpath("ops", f"{name}.txt").read_text()
    lines = (line.split() for line in text.splitlines() if line and not line.startswith("#"))
    return {words[0]: words[1] if len(words) > 1 else OLDEST for words in lines}


def _order(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in release.split("."))


def read(folder: Path) -> SimpleNamespace:
    """Reads `saved_model.pb` and gives its MetaGraph for serving.

    Raises:
        KerasftError: the folder holds no SavedModel, or one without a graph tagged `serve`.
    """
    path = Path(folder) / "saved_model.pb"
    try:
        model = messages().SavedModel.FromString(path.read_bytes())
    except OSError as error:
        raise KerasftError(f"{folder} is not a SavedModel: saved_model.pb cannot be read ({error.strerror}).") from None
    except Exception:  # protobuf's DecodeError; its base class differs between implementations
        raise KerasftError(f"{folder} is not a SavedModel: its saved_model.pb is damaged.") from None
    for meta_graph in model.meta_graphs:
        if list(meta_graph.meta_info.tags) == ["serve"]:
            return meta_graph
    found = [list(meta_graph.meta_info.tags) for meta_graph in model.meta_graphs]
    raise KerasftError(f"{folder} has no graph with the one tag 'serve', which a server loads; found {found}.")


def inspect(folder: Path) -> Inspection:
    """Looks at every op of a SavedModel, in the graph and in all functions.

    Args:
        folder: the version folder, with `saved_model.pb`.

    Raises:
        KerasftError: not a SavedModel.
    """
    meta_graph = read(folder)
    graph = meta_graph.graph
    functions = {function.signature.name: function for function in graph.library.function}
    signatures = signatures_of(meta_graph)
    ops: dict[str, list[str]] = {}
    needs: dict[str, str] = {}
    problems = []
    for where, nodes, attributes in _bodies(graph):
        if attributes is not None and attributes["_XlaMustCompile"].b:
            problems.append(f"{where} must be compiled by XLA (jit_compile=True), which a stock server switches off")
        for node in nodes:
            if where not in ops.setdefault(node.op, []):
                ops[node.op].append(where)
            needs |= dict(_needs(node))
            if "_XlaMustCompile" in node.attr and node.attr["_XlaMustCompile"].b:
                problems.append(
                    f"node {node.name} in {where} must be compiled by XLA, which a stock server switches off"
                )
    for op, places in sorted(ops.items()):
        where = places[0] if len(places) == 1 else f"{places[0]} and {len(places) - 1} more"
        if op in _table("denied"):
            problems.append(f"op {op} in {where} cannot run on a stock server")
        elif _TABLES.match(op):
            problems.append(f"op {op} in {where} keeps a table that grows or changes while it serves")
        elif op in functions:  # TF1 calls a function by using its name as an op
            continue
        elif op not in _table("core_cpu") and op not in _table("custom"):
            problems.append(f"op {op} in {where} is in no stock TensorFlow Serving that we know")
    reached, variables = _reach(graph, functions, signatures)
    for name, used in reached.items():
        problems += [
            f"op {op} writes to a variable when signature {name} runs" for op in sorted(used) if _WRITES.match(op)
        ]
    if not signatures:
        problems.append("there is no signature to call")
    lowest = max(needs.values(), key=_order, default=OLDEST)
    files = [(path, path.stat().st_size) for path in Path(folder).rglob("*") if path.is_file()]
    return Inspection(
        problems=tuple(problems),
        ops={op: tuple(places) for op, places in sorted(ops.items())},
        reached=reached,
        signatures=signatures,
        lowest_release=lowest,
        because=", ".join(sorted(what for what, release in needs.items() if release == lowest)) or None,
        weights_bytes=sum(map(_variable_bytes, variables)),
        variables_bytes=sum(size for path, size in files if path.parent.name == "variables"),
        folder_bytes=sum(size for _, size in files),
        tensorflow=meta_graph.meta_info.tensorflow_version,
    )


def _bodies(graph) -> Iterator[tuple]:
    yield "the graph", graph.node, None
    for function in graph.library.function:
        yield f"function {function.signature.name}", function.node, function.attr


def _needs(node) -> Iterator[tuple[str, str]]:
    """Gives what in a node is newer than the oldest release, with the first release that has it."""
    if _table("custom").get(node.op, OLDEST) != OLDEST:
        yield f"op {node.op}", _table("custom")[node.op]
    newer = _table("newer")
    if node.op in newer:
        yield f"op {node.op}", newer[node.op]
    for name, value in node.attr.items():
        for key in (f"{node.op}.{name}", f"{node.op}.{name}={value.type}"):
            if key in newer:
                yield key, newer[key]


def _called(node) -> Iterator[str]:
    for value in node.attr.values():
        for function in (value.func, *value.list.func):
            if function.name:
                yield function.name


def _reach(graph, functions, signatures) -> tuple[dict[str, frozenset[str]], list]:
    """Follows each signature from its outputs back; gives the ops a request may run, and the variables it may read."""
    nodes = {node.name: node for node in graph.node}
    reached, variables = {}, {}
    for name, signature in signatures.items():
        todo = [info.name.rpartition(":")[0] for info in signature.outputs.values()]
        seen, used, calls = set(), set(), []
        while todo:
            node = nodes.get(todo.pop())
            if node is None or node.name in seen:
                continue
            seen.add(node.name)
            used.add(node.op)
            calls += [*_called(node), node.op]
            todo += [source.lstrip("^").partition(":")[0] for source in node.input]
            if node.op in ("VarHandleOp", "VariableV2"):
                variables[node.name] = node
        entered = set()
        while calls:
            function = functions.get(calls.pop())
            if function is None or function.signature.name in entered:
                continue
            entered.add(function.signature.name)
            for node in function.node:
                used.add(node.op)
                calls += [*_called(node), node.op]
        reached[name] = frozenset(used)
    return reached, list(variables.values())


def _variable_bytes(node) -> int:
    dtype = DTYPES.get(node.attr["dtype"].type, "float32")
    width = 2 if dtype == "bfloat16" else 0 if dtype in ("string", "resource", "variant") else np.dtype(dtype).itemsize
    return width * int(np.prod([max(dim.size, 0) for dim in node.attr["shape"].shape.dim], dtype=np.int64))
