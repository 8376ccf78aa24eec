"""What Prometheus reads: TensorFlow Serving's metrics, by its names and in its text.

Names and buckets from servables/tensorflow/util.cc, the text from util/prometheus_exporter.cc. The text is written here
and not by the package prometheus-client, which would end every counter's name in `_total`: dashboards and alerts made
for TensorFlow Serving would then find nothing.
"""

import threading
from bisect import bisect_left
from dataclasses import dataclass, field

from kerasft.export.capi import CODES
from kerasft.serving.status import OK

# Microseconds: 33 buckets, each 1.8 times as wide as the one before; about 20 minutes.
_LIMITS = [10 * 1.8**power for power in range(33)]
# A client can ask for any name. So many are counted apart, and all later ones together.
_MOST_NAMES = 1000
OTHER_MODELS = "(other)"

GRPC, REST = "GRPC", "REST"
COUNTED = ("predict", "classify", "regress", "multiinference")
"""The APIs that TensorFlow Serving counts; questions about status and metadata are not."""


@dataclass
class Histogram:
    """A distribution over `_LIMITS`, with one bucket more for what is beyond."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(_LIMITS) + 1))
    total: float = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(_LIMITS, value)] += 1
        self.total += value


class Metrics:
    """Counts requests. Any thread may use it."""

    def __init__(self):
        self._lock = threading.Lock()
        self._names: set[str] = set()
        self._requests: dict[tuple[str, str], int] = {}
        self._latencies: dict[tuple[str, str, str], Histogram] = {}

    def request(self, entrypoint: str, api: str, model: str, code: int, seconds: float) -> None:
        """Counts one request.

        Args:
            entrypoint: `GRPC` or `REST`.
            api: the method, as each side spells it: `Predict` over gRPC, `predict` over REST.
            model: its name as it was asked for.
            code: the gRPC status code; the latency is that of answers only.
            seconds: from the request to the answer.
        """
        if api.lower() not in COUNTED:
            return
        status = CODES[code] if 0 <= code < len(CODES) else "UNKNOWN"
        with self._lock:
            if len(self._names) < _MOST_NAMES:
                self._names.add(model)
            model = model if model in self._names else OTHER_MODELS
            self._requests[model, status] = self._requests.get((model, status), 0) + 1
            if code == OK:
                self._latencies.setdefault((model, api, entrypoint), Histogram()).add(seconds * 1e6)

    def grpc_request(self, api: str, model: str, code: int, seconds: float) -> None:
        """Counts a request over gRPC."""
        self.request(GRPC, api, model, code, seconds)

    def rest_reply(self, reply, seconds: float) -> None:
        """Counts a `rest_handler.Reply`."""
        self.request(REST, reply.action, reply.model, reply.code, seconds)

    def text(self) -> str:
        """Writes what was counted so far, as `/monitoring/prometheus/metrics` gives it."""
        lines = []
        with self._lock:
            if self._requests:
                lines.append("# TYPE :tensorflow:serving:request_count counter")
            for (model, status), count in sorted(self._requests.items()):
                labels = _labels(model_name=model, status=status)
                lines.append(f":tensorflow:serving:request_count{{{labels}}} {count}")
            if self._latencies:
                lines.append("# TYPE :tensorflow:serving:request_latency histogram")
            for (model, api, entrypoint), histogram in sorted(self._latencies.items()):
                labels = _labels(model_name=model, API=api, entrypoint=entrypoint)
                lines += _histogram(":tensorflow:serving:request_latency", labels, histogram)
        return "\n".join(lines) + "\n"


def _histogram(name: str, labels: str, histogram: Histogram) -> list[str]:
    lines, cumulative = [], 0
    for limit, count in zip([*(f"{limit:g}" for limit in _LIMITS), "+Inf"], histogram.counts, strict=True):
        cumulative += count
        lines.append(f'{name}_bucket{{{labels},le="{limit}"}} {cumulative}')
    # All digits of the sum: with six of them, as there, a sum that is large no longer grows.
    return [*lines, f"{name}_sum{{{labels}}} {histogram.total!r}", f"{name}_count{{{labels}}} {cumulative}"]


def _labels(**values: str) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in values.items())


def _escaped(value: str) -> str:
    # The exporter leaves a new line as it is, which spoils the whole page.
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
