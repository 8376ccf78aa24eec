"""What deploys, each file against the schema of the program that reads it, and one another.

The Kubernetes schemas come with the package kubernetes-validate, that of Compose with check-jsonschema, both offline.
"""

import http.server
import json
import re
import shutil
import subprocess
import threading
from importlib import resources
from pathlib import Path

import pytest
import yaml

SERVING = Path(__file__).parents[2] / "serving"
BASE = SERVING / "kubernetes" / "base"


def documents(path: Path) -> list[dict]:
    return [found for found in yaml.safe_load_all(path.read_text()) if found]


def manifests() -> list[Path]:
    return sorted(path for path in BASE.glob("*.yaml") if path.name != "kustomization.yaml")


def of_kind(kind: str) -> dict:
    (found,) = [document for path in manifests() for document in documents(path) if document["kind"] == kind]
    return found


def container() -> dict:
    (found,) = of_kind("Deployment")["spec"]["template"]["spec"]["containers"]
    return found


def flags(arguments: list[str]) -> dict[str, str]:
    return dict(argument.removeprefix("--").split("=", 1) for argument in arguments if "=" in argument)


@pytest.mark.parametrize("release", ["1.29", "1.35"])
@pytest.mark.parametrize("path", manifests(), ids=lambda path: path.stem)
def test_the_manifests_fit_their_schema(path, release):
    validate = pytest.importorskip("kubernetes_validate").validate
    for document in documents(path):
        validate(document, release, strict=True)


def test_a_misspelt_key_of_a_manifest_would_be_seen():
    package = pytest.importorskip("kubernetes_validate")
    wrong = of_kind("Deployment")
    wrong["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(package.ValidationError, match="readynessProbe"):
        package.validate(wrong, "1.35", strict=True)


@pytest.mark.parametrize("overlay", ["base", "gpu"])
def test_kustomize_builds_what_fits(overlay):
    if not shutil.which("kubectl"):
        pytest.skip("kubectl is not installed")
    validate = pytest.importorskip("kubernetes_validate").validate
    built = subprocess.run(
        ["kubectl", "kustomize", SERVING / "kubernetes" / overlay], capture_output=True, text=True, timeout=60
    )
    assert built.returncode == 0, built.stderr
    found = {document["kind"]: document for document in yaml.safe_load_all(built.stdout)}
    assert set(found) == {
        "Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy"
    }  # fmt: skip
    for document in found.values():
        validate(document, "1.35", strict=True)
    limits = found["Deployment"]["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert ("nvidia.com/gpu" in limits) == (overlay == "gpu")
    assert "cpu" not in limits  # a limit on cores halts the process for parts of each tenth of a second


def test_the_manifests_select_the_same_pods():
    labels = of_kind("Deployment")["spec"]["template"]["metadata"]["labels"].items()
    selectors = [
        of_kind("Deployment")["spec"]["selector"]["matchLabels"],
        of_kind("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        of_kind("NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        *(service["spec"]["selector"] for service in documents(BASE / "service.yaml")),
    ]
    assert all(selector.items() <= labels for selector in selectors)
    target = of_kind("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", of_kind("Deployment")["metadata"]["name"])
    # A budget that the smallest deployment could not keep would block every drain.
    assert (
        of_kind("HorizontalPodAutoscaler")["spec"]["minReplicas"]
        > of_kind("PodDisruptionBudget")["spec"]["maxUnavailable"]
    )


def test_ports_have_the_same_names_everywhere():
    ports = {port["name"]: port["containerPort"] for port in container()["ports"]}
    given = flags(container()["args"])
    assert ports == {"grpc": int(given["port"]), "rest": int(given["rest_api_port"])}
    for service in documents(BASE / "service.yaml"):
        assert all(ports[port["targetPort"]] == port["port"] for port in service["spec"]["ports"])
    for rule in of_kind("NetworkPolicy")["spec"]["ingress"]:
        assert {port["port"] for port in rule["ports"]} <= set(ports)


def test_a_roll_out_never_has_fewer_pods_and_outlives_its_requests():
    spec = of_kind("Deployment")["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert "replicas" not in spec  # the autoscaler's
    pod = spec["template"]["spec"]
    leaving = int(container()["lifecycle"]["preStop"]["exec"]["command"][1])
    longest_request = int(flags(container()["args"])["rest_api_timeout_in_ms"]) / 1000
    assert longest_request < leaving < pod["terminationGracePeriodSeconds"]


class Status(http.server.BaseHTTPRequestHandler):
    """Answers as the model server does when it is asked for a model's status."""

    states = ("AVAILABLE",)

    def do_GET(self):
        entries = [{"version": str(number), "state": state} for number, state in enumerate(self.states, 1)]
        known = self.path == "/v1/models/sentiment"
        found = {"model_version_status": entries} if known else {"error": "Could not find any versions of model"}
        body = json.dumps(found, indent=1).encode()
        self.send_response(200 if known else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.mark.parametrize(
    ("states", "model", "ready"),
    [
        (("AVAILABLE",), "sentiment", True),
        (("END", "AVAILABLE"), "sentiment", True),
        (("LOADING",), "sentiment", False),
        (("END",), "sentiment", False),
        (("AVAILABLE",), "another", False),
    ],
)
def test_the_readiness_probe_reads_the_status(states, model, ready):
    if not shutil.which("bash"):
        pytest.skip("bash is not installed")
    handler = type("Handler", (Status,), {"states": states})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        environment = {"PATH": "/usr/bin:/bin", "REST_PORT": str(server.server_port), "MODEL": model}
        command = container()["readinessProbe"]["exec"]["command"]
        found = subprocess.run(command, env=environment, capture_output=True, timeout=20)
        server.shutdown()
    assert (found.returncode == 0) == ready, found.stderr


def test_the_readiness_probe_fails_where_nobody_listens():
    if not shutil.which("bash"):
        pytest.skip("bash is not installed")
    environment = {"PATH": "/usr/bin:/bin", "REST_PORT": "1"}
    assert subprocess.run(
        container()["readinessProbe"]["exec"]["command"], env=environment, capture_output=True
    ).returncode


def test_the_compose_file_fits_its_schema():
    jsonschema = pytest.importorskip("jsonschema")
    pytest.importorskip("check_jsonschema")
    folder = resources.files("check_jsonschema") / "builtin_schemas" / "vendor"
    schema = json.loads((folder / "compose-spec.json").read_text())
    found = yaml.safe_load((SERVING / "compose.yaml").read_text())
    jsonschema.validate(found, schema)
    found["services"]["grafana"]["port"] = ["1:1"]
    with pytest.raises(jsonschema.ValidationError, match="port"):
        jsonschema.validate(found, schema)


def test_compose_opens_no_port_to_others_and_mounts_what_is_there():
    services = yaml.safe_load((SERVING / "compose.yaml").read_text())["services"]
    for service in services.values():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        assert re.fullmatch(r"[\w/.-]+:v?\d+\.\d+\.\d+", service["image"])
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (SERVING / source).exists(), source
                assert volume.endswith(":ro")
    for value in flags(services["model-server"]["command"]).values():
        if value.startswith("/config/"):
            assert (SERVING / value.removeprefix("/config/")).is_file()


def test_the_image_holds_the_files_that_the_flags_name():
    text = (SERVING / "Dockerfile").read_text()
    copied = {f"/config/{Path(name).name}" for name in re.findall(r"serving/\S+\.config", text)}
    named = {value for value in flags(container()["args"]).values() if value.startswith("/config/")}
    assert named == copied == set(re.findall(r"=(/config/[\w.]+)", text))
    allowed = (SERVING / "Dockerfile.dockerignore").read_text().split()
    assert allowed[0] == "*"
    assert {line[1:] for line in allowed[1:]} == {*re.findall(r"serving/\S+\.config", text), "saved_models"}
    compose = yaml.safe_load((SERVING / "compose.yaml").read_text())["services"]["model-server"]["image"]
    assert compose.split(":")[1] == re.search(r"^ARG TF_SERVING=(\S+)", text, re.M)[1]


def test_the_text_protos_are_what_the_server_reads():
    reading = pytest.importorskip("kerasft.serving.config_files")
    (model,) = reading.read_model_config_file(SERVING / "models.config")
    assert (model.name, model.base_path) == ("sentiment", "/models/sentiment")
    batching = reading.read_batching_parameters_file(SERVING / "batching.config")
    assert batching.max_execution_batch_size <= batching.max_batch_size
    assert batching.num_batch_threads == int(container()["resources"]["requests"]["cpu"])
    path = reading.read_monitoring_config_file(SERVING / "monitoring.config")
    (job,) = yaml.safe_load((SERVING / "prometheus.yml").read_text())["scrape_configs"]
    assert path == job["metrics_path"]


def test_the_example_of_two_labelled_versions_is_read_too():
    protos = pytest.importorskip("kerasft.serving.protos")
    from google.protobuf import text_format

    text = (SERVING / "models.config").read_text()
    uncommented = re.sub(r"^  # (?=  |config|})", "  ", text, flags=re.M)
    found = text_format.Parse(uncommented, protos.model_server_config_pb2.ModelServerConfig())
    first, second = found.model_config_list.config
    assert (first.name, dict(second.version_labels)) == ("sentiment", {"stable": 3, "canary": 4})


def test_the_ssl_config_of_the_security_page_is_read_and_its_command_writes_such_lines(tmp_path):
    reading = pytest.importorskip("kerasft.serving.config_files")
    text = (SERVING / "SECURITY.md").read_text()
    sample, command = re.findall(r"```(?:sh)?\n(.*?)```", text, flags=re.S)
    (tmp_path / "ssl.config").write_text(sample)
    assert reading.read_ssl_config_file(tmp_path / "ssl.config").client_verify
    pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQ+/=\nAgE=\n-----END PRIVATE KEY-----\n"
    (tmp_path / "key.pem").write_text(pem)
    line = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    (tmp_path / "ssl.config").write_text(f'server_key: "{line}"\nserver_cert: "{line}"\n')
    assert reading.read_ssl_config_file(tmp_path / "ssl.config").server_key == pem.encode()
