"""The manifests of Kubernetes, as far as they can be checked without a cluster."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml

from mockllm import Server
from mockllm.cli.options import serve_options
from mockllm.engine.building import build_engine
from mockllm.serve.distant.redis_address import PASSWORD_VARIABLE
from mockllm.serve.process import LAST_CALL
from tests.support.http_library import httpx
from tests.support.redis_servers import free_port, needs_redis, wait_for
from tests.test_deploy import instructions

ROOT = Path(__file__).parents[1]
MANIFESTS: list[dict[str, Any]] = [
    *yaml.safe_load_all((ROOT / "deploy" / "kubernetes.yaml").read_text())
]


def manifest(kind: str, name: str) -> Any:
    (found,) = [
        each for each in MANIFESTS if each["kind"] == kind and each["metadata"]["name"] == name
    ]
    return found


def pod(kind: str, name: str) -> tuple[Any, Any]:
    """The specification of the pods of a workload, and that of their only container."""
    spec = manifest(kind, name)["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    return spec, container


SERVERS, REDIS = pod("Deployment", "mockllm"), pod("StatefulSet", "mockllm-redis")


def test_the_pods_of_servers_run_the_command_with_shared_state() -> None:
    (entry,) = instructions("ENTRYPOINT")
    spec, container = SERVERS
    _, *arguments = json.loads(entry)
    options = serve_options([*arguments, *container["args"]])
    (mounted,) = [each for each in container["volumeMounts"] if each.get("readOnly")]
    (service,) = manifest("Service", "mockllm-redis")["spec"]["ports"]

    assert [str(path) for path in options.config] == [mounted["mountPath"]]
    assert (options.state.host, options.state.port) == ("mockllm-redis", service["port"])
    assert container["env"][0]["name"] == PASSWORD_VARIABLE
    assert container["ports"][0]["containerPort"] == options.port
    assert spec["terminationGracePeriodSeconds"] > options.drain_timeout + LAST_CALL
    assert manifest("Deployment", "mockllm")["spec"]["strategy"] == {"type": "Recreate"}


def test_the_mocks_of_the_servers_are_valid(tmp_path: Path) -> None:
    for name, text in manifest("ConfigMap", "mockllm-mocks")["data"].items():
        (tmp_path / name).write_text(text)

    assert build_engine([tmp_path], strict_config=True).stateful_mocks


def test_the_probes_ask_what_the_server_answers() -> None:
    _, container = SERVERS
    probes = {name: container[f"{name}Probe"]["httpGet"] for name in ("readiness", "liveness")}

    with Server({"mocks": []}) as server:
        for probe in probes.values():
            assert probe["port"] == container["ports"][0]["name"]
            assert httpx.get(server.base_url + probe["path"]).status_code == 200
    assert [probe["path"] for probe in probes.values()] == ["/ready", "/health"]


@pytest.mark.parametrize(("spec", "container"), [SERVERS, REDIS], ids=["servers", "redis"])
def test_pods_may_do_no_more_than_they_need(spec: Any, container: Any) -> None:
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    volumes = [
        *spec["volumes"],
        *manifest("StatefulSet", "mockllm-redis")["spec"]["volumeClaimTemplates"],
    ]
    names = {volume.get("name") or volume["metadata"]["name"] for volume in volumes}
    assert {mount["name"] for mount in container["volumeMounts"]} <= names


def test_what_selects_pods_finds_them() -> None:
    for kind, name in (("Deployment", "mockllm"), ("StatefulSet", "mockllm-redis")):
        labels = manifest(kind, name)["spec"]["template"]["metadata"]["labels"]
        assert manifest(kind, name)["spec"]["selector"]["matchLabels"] == labels
        assert manifest("Service", name)["spec"]["selector"] == labels
    policy = manifest("NetworkPolicy", "mockllm-redis")["spec"]
    assert policy["podSelector"]["matchLabels"] == {"app": "mockllm-redis"}
    assert policy["ingress"][0]["from"][0]["podSelector"]["matchLabels"] == {"app": "mockllm"}


@needs_redis
def test_redis_keeps_everything_and_its_password_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, container = REDIS
    secret = "not-to-be-seen"
    monkeypatch.setenv(container["env"][0]["name"], secret)
    shell, option, script = container["command"]
    here = script.replace("/data", str(tmp_path)).replace("--save", f"--port {free_port()} --save")
    port = int(re.findall(r"--port (\d+)", here)[0])
    process = subprocess.Popen([shell, option, here], stdout=subprocess.DEVNULL)
    try:
        with redis.Redis(port=port, password=secret) as client:
            wait_for(client, lambda: process.poll() is None)
            kept = {name: client.config_get(name)[name] for name in ("appendfsync", "appendonly")}
            assert kept == {"appendfsync": "always", "appendonly": "yes"}
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        with redis.Redis(port=port) as client, pytest.raises(redis.AuthenticationError):
            client.ping()
        assert secret not in Path(f"/proc/{process.pid}/cmdline").read_text()
    finally:
        process.kill()
        process.wait()
