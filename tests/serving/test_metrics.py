"""Metrics: TensorFlow Serving's names, and text that Prometheus's own parser reads."""

import pytest

from kerasft.serving.metrics import OTHER_MODELS, Metrics


def parsed(text: str) -> dict:
    """Sample name -> labels -> value."""
    parser = pytest.importorskip("prometheus_client.parser", reason="needs the package prometheus-client")
    found: dict = {}
    for family in parser.text_string_to_metric_families(text):
        for sample in family.samples:
            # The parser of the Python package ends counters' names so, whatever the text; Prometheus itself does not.
            name = sample.name.removesuffix("_total")
            found.setdefault(name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def test_counts_and_latencies():
    metrics = Metrics()
    metrics.grpc_request("Predict", "m", 0, 15e-6)
    metrics.grpc_request("Predict", "m", 0, 2.0)
    metrics.grpc_request("Predict", "m", 3, 1.0)
    found = parsed(metrics.text())
    count = found[":tensorflow:serving:request_count"]
    assert count == {
        (("model_name", "m"), ("status", "OK")): 2,
        (("model_name", "m"), ("status", "INVALID_ARGUMENT")): 1,
    }
    labels = (("API", "Predict"), ("entrypoint", "GRPC"), ("model_name", "m"))
    assert found[":tensorflow:serving:request_latency_count"] == {labels: 2}
    assert found[":tensorflow:serving:request_latency_sum"][labels] == pytest.approx(2_000_015)
    buckets = {dict(key)["le"]: value for key, value in found[":tensorflow:serving:request_latency_bucket"].items()}
    assert [buckets[limit] for limit in ("10", "18", "32.4", "+Inf")] == [0, 1, 1, 2]
    assert list(buckets.values()) == sorted(buckets.values())
    assert len(buckets) == 34


def test_what_tensorflow_serving_does_not_count():
    metrics = Metrics()
    metrics.grpc_request("GetModelStatus", "m", 0, 1.0)
    assert "request_count" not in metrics.text()


def test_a_name_that_is_hostile():
    metrics = Metrics()
    metrics.grpc_request("Predict", 'a"b\\c\nd', 5, 1.0)
    [labels] = parsed(metrics.text())[":tensorflow:serving:request_count"]
    assert dict(labels)["model_name"] == 'a"b\\c\nd'


def test_made_up_names_take_no_more_memory():
    metrics = Metrics()
    for number in range(1500):
        metrics.grpc_request("Predict", f"model-{number}", 5, 1.0)
    found = parsed(metrics.text())[":tensorflow:serving:request_count"]
    assert len(found) == 1001
    assert found[("model_name", OTHER_MODELS), ("status", "NOT_FOUND")] == 500
