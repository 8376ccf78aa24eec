"""The few protobuf messages of a SavedModel that we read, wire-compatible with TensorFlow's own.

TensorFlow's classes cannot be had without importing all of TensorFlow (and, with it, Keras). Field numbers are those of
tensorflow/core/{framework,protobuf}/*.proto, which never change; unknown fields are kept unread.
"""

import functools
from types import SimpleNamespace

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

# The messages and fields that are read or written here: `name number type`, `*` repeated, `{}` a map from string.
_MESSAGES = """
Dim: size 1 int64
Shape: dim 2 Dim *, unknown_rank 3 bool
Tensor: dtype 1 int32, shape 2 Shape, content 4 bytes, string_val 8 bytes *
TensorInfo: name 1 string, dtype 2 int32, shape 3 Shape
SignatureDef: inputs 1 TensorInfo {}, outputs 2 TensorInfo {}, method_name 3 string, defaults 4 Tensor {}
Function: name 1 string
ListValue: func 9 Function *
AttrValue: list 1 ListValue, b 5 bool, type 6 int32, shape 7 Shape, func 10 Function
Node: name 1 string, op 2 string, input 3 string *, attr 5 AttrValue {}
OpDef: name 1 string
FunctionDef: signature 1 OpDef, node 3 Node *, attr 5 AttrValue {}
Library: function 1 FunctionDef *
Versions: producer 1 int32, min_consumer 2 int32
Graph: node 1 Node *, library 2 Library, versions 4 Versions
MetaInfo: tags 4 string *, tensorflow_version 5 string
MetaGraph: meta_info 1 MetaInfo, graph 2 Graph, signature_def 5 SignatureDef {}
SavedModel: schema_version 1 int64, meta_graphs 2 MetaGraph *
BytesList: value 1 bytes *
Int64List: value 1 int64 *
Feature: bytes_list 1 BytesList, int64_list 3 Int64List
Features: feature 1 Feature {}
Example: features 1 Features
"""


@functools.cache
def messages() -> SimpleNamespace:
    """Gives the protobuf classes, by the names in `_MESSAGES`."""
    field = descriptor_pb2.FieldDescriptorProto
    types = {"int32": field.TYPE_INT32, "int64": field.TYPE_INT64, "bool": field.TYPE_BOOL}
    types |= {"string": field.TYPE_STRING, "bytes": field.TYPE_BYTES}
    file = descriptor_pb2.FileDescriptorProto(name="kerasft/saved_model.proto", package="kerasft", syntax="proto3")

    def add(message, name, number, kind, many):
        label = field.LABEL_REPEATED if many else field.LABEL_OPTIONAL
        added = message.field.add(name=name, number=int(number), label=label)
        if kind in types:
            added.type = types[kind]
        else:
            added.type, added.type_name = field.TYPE_MESSAGE, f".kerasft.{kind}"

    for line in _MESSAGES.strip().splitlines():
        title, fields = line.split(":")
        message = file.message_type.add(name=title)
        for name, number, kind, *mark in (text.split() for text in fields.split(",")):
            if mark == ["{}"]:
                entry = message.nested_type.add(name="".join(word.title() for word in name.split("_")) + "Entry")
                entry.options.map_entry = True
                add(entry, "key", 1, "string", False)
                add(entry, "value", 2, kind, False)
                kind = f"{title}.{entry.name}"
            add(message, name, number, kind, bool(mark))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    names = [message.name for message in file.message_type]
    found = {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"kerasft.{name}")) for name in names}
    return SimpleNamespace(**found)
