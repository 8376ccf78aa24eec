"""What watches the model server: Prometheus's and Grafana's files, against one another and the metrics there are.

No package brings a schema of them, so they are read here, and their queries parsed by promql-parser.
"""

import json
import re
from pathlib import Path

import pytest
import yaml

SERVING = Path(__file__).parents[2] / "serving"
# What TensorFlow Serving counts: servables/tensorflow/util.cc, batching/batching_session.cc, cc/saved_model/loader.cc.
METRICS = {
    ":tensorflow:serving:request_count": {"model_name", "status"},
    ":tensorflow:serving:request_latency_bucket": {"model_name", "API", "entrypoint", "le"},
    ":tensorflow:serving:runtime_latency_bucket": {"model_name", "API", "runtime", "le"},
    ":tensorflow:serving:batching_session:queuing_latency_bucket": {"thread_pool_name", "le"},
    ":tensorflow:serving:batching_session:wrapped_run_count": set(),
    ":tensorflow:cc:saved_model:load_attempt_count": {"model_path", "status"},
    "up": {"job", "instance"},
}


def dashboard() -> dict:
    return json.loads((SERVING / "grafana" / "dashboards" / "model_server.json").read_text())


def queries() -> list:
    # Grafana puts these in before it asks.
    put_in = {"$__rate_interval": "1m", "$model": ".*"}
    found = []
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            text = target["expr"]
            for name, value in put_in.items():
                text = text.replace(name, value)
            found.append(pytest.param(text, id=f"{panel['title']}-{target['refId']}"))
    for group in yaml.safe_load((SERVING / "alerts.yml").read_text())["groups"]:
        found += [pytest.param(rule["expr"], id=rule["alert"]) for rule in group["rules"]]
    return found


@pytest.mark.parametrize("query", queries())
def test_each_query_is_promql_over_metrics_that_the_server_has(query):
    pytest.importorskip("promql_parser").parse(query)
    names = set(re.findall(r"(?:^|[\s(])(:tensorflow[\w:]*|up)\b", query))
    assert names
    assert names <= set(METRICS)
    known = set().union(*(METRICS[name] for name in names))
    grouped = re.findall(r"by \(([^)]*)\)", query)
    used = {label.strip() for group in grouped for label in group.split(",")}
    used |= {label for group in re.findall(r"\{([^}]*)\}", query) for label in re.findall(r"(\w+)\s*(?:=|!)", group)}
    assert used <= known


def test_the_dashboard_reads_the_source_that_is_provisioned():
    folder = SERVING / "grafana" / "provisioning"
    (source,) = yaml.safe_load((folder / "datasources" / "prometheus.yaml").read_text())["datasources"]
    named = {panel["datasource"]["uid"] for panel in dashboard()["panels"]}
    assert named == {source["uid"]}
    services = yaml.safe_load((SERVING / "compose.yaml").read_text())["services"]
    assert re.fullmatch(r"http://(\w+):9090", source["url"])[1] in services
    (provider,) = yaml.safe_load((folder / "dashboards" / "files.yaml").read_text())["providers"]
    mounted = [volume.split(":")[1] for volume in services["grafana"]["volumes"]]
    assert provider["options"]["path"] in mounted
    assert len({panel["id"] for panel in dashboard()["panels"]}) == len(dashboard()["panels"])


def test_prometheus_reads_the_model_server_of_the_compose_file():
    found = yaml.safe_load((SERVING / "prometheus.yml").read_text())
    services = yaml.safe_load((SERVING / "compose.yaml").read_text())["services"]
    (target,) = found["scrape_configs"][0]["static_configs"][0]["targets"]
    name, port = target.split(":")
    assert any(published.endswith(f":{port}") for published in services[name]["ports"])
    assert all((SERVING / file).is_file() for file in found["rule_files"])
