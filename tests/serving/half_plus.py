"""The models that TensorFlow Serving's own tests use, re-created: half-plus-two, half-plus-three and the counter.

Names of versions, signatures, tensors and shapes are those of the originals, for clients and golden files know them.
The graphs are written node by node as messages, so that no test has to wait for `import tensorflow`; the numbers are
constants, and only the counter holds a variable, set to zero by the loader's initialiser.
"""

from pathlib import Path

from kerasft.serving.protos import graph_pb2, meta_graph_pb2, node_def_pb2, saved_model_pb2, tensor_pb2, types_pb2

FLOAT, STRING, RESOURCE = types_pb2.DT_FLOAT, types_pb2.DT_STRING, types_pb2.DT_RESOURCE
PREDICT, CLASSIFY, REGRESS = (f"tensorflow/serving/{method}" for method in ("predict", "classify", "regress"))
COLUMN = (-1, 1)
# The label that the cases call L, of half-plus-two.
LABEL = {"L": 123}


def tensor(dtype: int, shape: tuple[int, ...], values: list) -> tensor_pb2.TensorProto:
    """A small constant; strings as bytes."""
    made = tensor_pb2.TensorProto(dtype=dtype)
    made.tensor_shape.SetInParent()
    for size in shape:
        made.tensor_shape.dim.add(size=size)
    (made.string_val if dtype == STRING else made.float_val).extend(values)
    return made


class Graph:
    """Collects nodes. Each method adds one and gives its name."""

    def __init__(self):
        self.message = graph_pb2.GraphDef()
        self.message.versions.producer = 1800

    def node(self, name: str, op: str, inputs: tuple[str, ...] = (), **types: int) -> str:
        self.message.node.add(name=name, op=op, input=inputs)
        for attribute, number in types.items():
            self.last.attr[attribute].type = number
        return name

    @property
    def last(self) -> node_def_pb2.NodeDef:
        return self.message.node[-1]

    def constant(self, name: str, dtype: int, shape: tuple[int, ...], values: list) -> str:
        self.node(name, "Const", dtype=dtype)
        self.last.attr["value"].tensor.CopyFrom(tensor(dtype, shape, values))
        return name

    def placeholder(self, name: str, dtype: int) -> str:
        self.node(name, "Placeholder", dtype=dtype)
        self.last.attr["shape"].shape.unknown_rank = True
        return name

    def half_plus(self, name: str, of: str, addend: float) -> str:
        """`name` = `of` / 2 + `addend`."""
        half = self.constant(f"{name}_half", FLOAT, (), [0.5])
        added = self.constant(f"{name}_addend", FLOAT, (), [addend])
        product = self.node(f"{name}_product", "Mul", (half, of), T=FLOAT)
        total = self.node(f"{name}_sum", "AddV2", (product, added), T=FLOAT)
        return self.node(name, "Identity", (total,), T=FLOAT)

    def parse(self, name: str, examples: str) -> tuple[str, str]:
        """Features x, which every Example must have, and x2, 0 by default. Gives the two tensors, float[B, 1]."""
        names = self.constant(f"{name}_names", STRING, (0,), [])
        keys = [self.constant(f"{name}_key_{key}", STRING, (), [key.encode()]) for key in ("x", "x2")]
        required = self.constant(f"{name}_required", FLOAT, (0,), [])
        default = self.constant(f"{name}_default", FLOAT, (1,), [0.0])
        self.node(name, "ParseExample", (examples, names, *keys, required, default))
        attributes = self.last.attr
        attributes["Nsparse"].i, attributes["Ndense"].i = 0, 2
        attributes["sparse_types"].list.SetInParent()
        attributes["Tdense"].list.type.extend([FLOAT, FLOAT])
        for _ in range(2):
            attributes["dense_shapes"].list.shape.add().dim.add(size=1)
        return f"{name}:0", f"{name}:1"


def info(name: str, dtype: int, shape: tuple[int, ...] | None) -> meta_graph_pb2.TensorInfo:
    made = meta_graph_pb2.TensorInfo(name=f"{name}:0", dtype=dtype)
    made.tensor_shape.SetInParent()
    if shape is None:
        made.tensor_shape.unknown_rank = True
    for size in shape or ():
        made.tensor_shape.dim.add(size=size)
    return made


def signature(method: str, inputs: dict, outputs: dict, defaults: dict | None = None) -> meta_graph_pb2.SignatureDef:
    return meta_graph_pb2.SignatureDef(inputs=inputs, outputs=outputs, method_name=method, defaults=defaults or {})


def write_saved_model(folder: Path, graph: Graph, signatures: dict) -> Path:
    """Writes a version folder that the C++ loader takes. A loader's initialiser is the node `init`, if there is one."""
    model = saved_model_pb2.SavedModel(saved_model_schema_version=1)
    meta_graph = model.meta_graphs.add()
    meta_graph.meta_info_def.tags.append("serve")
    meta_graph.graph_def.CopyFrom(graph.message)
    for name, found in signatures.items():
        meta_graph.signature_def[name].CopyFrom(found)
    if any(node.name == "init" for node in graph.message.node):
        # Not by `__saved_model_init_op`, which is a signature: TensorFlow 1 had none, and metadata would show it.
        meta_graph.collection_def["saved_model_main_op"].node_list.value.append("init")
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(model.SerializeToString())
    return folder


def half_plus_graph(addend: float) -> Graph:
    graph = Graph()
    x, x2 = graph.parse("ParseExample", graph.placeholder("tf_example", STRING))
    graph.node("x", "Identity", (x,), T=FLOAT)
    graph.node("x2", "Identity", (x2,), T=FLOAT)
    for name, of, added in (("y", "x", addend), ("y2", "x", 3.0), ("y3", "x2", 3.0)):
        graph.half_plus(name, of, added)
    return graph


def tf1_signatures() -> dict:
    examples = {"inputs": info("tf_example", STRING, None)}
    x, x2 = info("x", FLOAT, COLUMN), {"inputs": info("x2", FLOAT, COLUMN)}
    y, y2, y3 = (info(name, FLOAT, COLUMN) for name in ("y", "y2", "y3"))
    return {
        "serving_default": signature(PREDICT, {"x": x}, {"y": y}),
        "regress_x_to_y": signature(REGRESS, examples, {"outputs": y}),
        "regress_x_to_y2": signature(REGRESS, examples, {"outputs": y2}),
        "regress_x2_to_y3": signature(REGRESS, x2, {"outputs": y3}),
        "classify_x_to_y": signature(CLASSIFY, examples, {"scores": y}),
        "classify_x2_to_y3": signature(CLASSIFY, x2, {"scores": y3}),
    }


def write_half_plus_two(base: Path) -> Path:
    """y = x / 2 + 2, as a graph of TensorFlow 1; versions 123 and 124."""
    for version in ("00000123", "00000124"):
        write_saved_model(base / version, half_plus_graph(2.0), tf1_signatures())
    return base


def write_half_plus_two_tf2(base: Path) -> Path:
    """The same of TensorFlow 2; version 123. Every method is predict, and x has a default."""
    graph = Graph()
    signatures = {}
    for name, output, number, addend in (
        ("classify_x_to_y", "scores", "_1", 2.0),
        ("regress_x_to_y", "outputs", "_3", 2.0),
        ("regress_x_to_y2", "outputs", "_4", 3.0),
    ):
        x, _ = graph.parse(f"{name}_parse", graph.placeholder(f"{name}_inputs", STRING))
        call = graph.half_plus(f"StatefulPartitionedCall{number}", x, addend)
        given = {"inputs": info(f"{name}_inputs", STRING, (-1,))}
        signatures[name] = signature(PREDICT, given, {output: info(call, FLOAT, COLUMN)})
    for name, alias, output, number, addend in (
        ("serving_default", "x", "y", "_5", 2.0),
        ("regress_x2_to_y3", "inputs", "outputs", "_2", 3.0),
        ("classify_x2_to_y3", "inputs", "scores", "", 3.0),
    ):
        placeholder = graph.placeholder(f"{name}_{alias}", FLOAT)
        call = graph.half_plus(f"StatefulPartitionedCall{number}", placeholder, addend)
        given = {alias: info(placeholder, FLOAT, (1,))}
        signatures[name] = signature(PREDICT, given, {output: info(call, FLOAT, (1,))})
    signatures["serving_default"].defaults["x"].CopyFrom(tensor(FLOAT, (1,), [0.0]))
    graph.node("NoOp", "NoOp")
    nothing = meta_graph_pb2.TensorInfo(name="NoOp")
    nothing.tensor_shape.unknown_rank = True
    signatures["__saved_model_init_op"] = signature("", {}, {"__saved_model_init_op": nothing})
    write_saved_model(base / "00000123", graph, signatures)
    return base


def write_half_plus_three(base: Path) -> Path:
    """y = x / 2 + 3; version 123. The signature for Regress takes floats, so that it refuses Examples."""
    x, y = info("x", FLOAT, COLUMN), info("y", FLOAT, COLUMN)
    signatures = {
        "serving_default": signature(PREDICT, {"x": x}, {"y": y}),
        "tensorflow/serving/predict": signature(PREDICT, {"x": x}, {"y": y}),
        REGRESS: signature(REGRESS, {"inputs": x}, {"outputs": y}),
    }
    write_saved_model(base / "00000123", half_plus_graph(3.0), signatures)
    return base


def write_counter(base: Path) -> Path:
    """Four signatures on one variable; version 123. Only incr_counter_by has an input."""
    graph = Graph()
    zero = graph.constant("zero", FLOAT, (), [0.0])
    one = graph.constant("one", FLOAT, (), [1.0])
    delta = graph.placeholder("delta", FLOAT)
    graph.node("counter", "VarHandleOp", dtype=FLOAT)
    graph.last.attr["shape"].shape.SetInParent()
    graph.last.attr["shared_name"].s = b"counter"
    graph.node("init", "AssignVariableOp", ("counter", zero), dtype=FLOAT)
    signatures = {}
    for name, op, given in (
        ("get_counter", None, None),
        ("incr_counter", "AssignAddVariableOp", one),
        ("incr_counter_by", "AssignAddVariableOp", delta),
        ("reset_counter", "AssignVariableOp", zero),
    ):
        after = (f"^{graph.node(f'{name}_op', op, ('counter', given), dtype=FLOAT)}",) if op else ()
        graph.node(f"{name}_value", "ReadVariableOp", ("counter", *after), dtype=FLOAT)
        inputs = {"delta": info(delta, FLOAT, None)} if given == delta else {}
        signatures[name] = signature(PREDICT, inputs, {"output": info(f"{name}_value", FLOAT, ())})
    write_saved_model(base / "00000123", graph, signatures)
    return base
