"""Protobuf text files, and the three messages of TensorFlow Serving's configuration that no Python package brings."""

import functools
from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2

from kerasft.errors import KerasftError

# `name number type`, `*` repeated. From session_bundle_config.proto, monitoring_config.proto and ssl_config.proto.
_MESSAGES = """
BatchingParameters: max_batch_size 1 Int64Value, batch_timeout_micros 2 Int64Value,
  max_enqueued_batches 3 Int64Value, num_batch_threads 4 Int64Value, thread_pool_name 5 StringValue,
  allowed_batch_sizes 6 int64 *, pad_variable_length_inputs 7 bool, enable_large_batch_splitting 8 BoolValue,
  max_execution_batch_size 9 Int64Value
PrometheusConfig: enable 1 bool, path 2 string
MonitoringConfig: prometheus_config 1 PrometheusConfig
SSLConfig: server_key 1 string, server_cert 2 string, custom_ca 3 string, client_verify 4 bool
"""


@functools.cache
def message_class(name: str) -> type:
    """Gives the class of one of the messages above."""
    field = descriptor_pb2.FieldDescriptorProto
    types = {"int64": field.TYPE_INT64, "bool": field.TYPE_BOOL, "string": field.TYPE_STRING}
    file = descriptor_pb2.FileDescriptorProto(name="kerasft/serving.proto", package="kerasft", syntax="proto3")
    file.dependency.append(wrappers_pb2.DESCRIPTOR.name)
    for line in _MESSAGES.strip().replace(",\n", ",").splitlines():
        title, fields = line.split(":")
        message = file.message_type.add(name=title)
        for key, number, kind, *mark in (text.split() for text in fields.split(",")):
            label = field.LABEL_REPEATED if mark else field.LABEL_OPTIONAL
            added = message.field.add(name=key, number=int(number), label=label)
            if kind in types:
                added.type = types[kind]
            else:
                package = "google.protobuf" if kind.endswith("Value") else "kerasft"
                added.type, added.type_name = field.TYPE_MESSAGE, f".{package}.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"kerasft.{name}"))


def read_text_proto(path: str | Path, message):
    """Reads a file into a message.

    Args:
        path: a protobuf text file.
        message: an empty message of the type the file has; filled and given back.

    Raises:
        KerasftError: the file cannot be read, or is not of that type; with the line.
    """
    title = message.DESCRIPTOR.name
    try:
        text = Path(path).read_bytes().decode()
    except OSError as error:
        words = f"found no file to read: {error.strerror}"
        raise KerasftError(f"{path}: expected a {title} as protobuf text, {words}.") from None
    except UnicodeDecodeError:
        raise KerasftError(f"{path}: expected a {title} as protobuf text, found bytes that are not UTF-8.") from None
    try:
        return text_format.Parse(text, message)
    except text_format.ParseError as error:
        line = error.GetLine()
        where = f"{path}:{line}" if line else f"{path}"
        # The parser's own words begin with the place, "3:5 : …".
        words = str(error).split(" : ", 1)[-1].replace("kerasft.", "").rstrip(".").replace("\n", " ")
        raise KerasftError(f"{where}: expected a {title} as protobuf text: {words}.") from None
