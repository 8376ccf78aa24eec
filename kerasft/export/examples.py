"""`tf.train.Example`s: what TensorFlow Serving's Classify and Regress APIs feed a signature with."""

from collections.abc import Mapping

from kerasft.export.messages import messages


def serialized_example(features: Mapping[str, bytes | int]) -> bytes:
    """Serializes one row.

    Args:
        features: by name; text as bytes, which becomes a bytes feature, or a whole number, an int64 feature.
    """
    example = messages().Example()
    for name, value in features.items():
        feature = example.features.feature[name]
        (feature.bytes_list if isinstance(value, bytes) else feature.int64_list).value.append(value)
    return example.SerializeToString()
