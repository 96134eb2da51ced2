"""Who may talk to whom in deploy/k8s, by the rules of NetworkPolicy."""

import ipaddress
from typing import Any

import pytest

from app.config.servers import NAMES
from tests.deploy.manifests import Json, everything, of_kind, program, with_kubectl

pytestmark = with_kubectl

SERVERS = [name.replace("_", "-") for name in NAMES]
PROMETHEUS = {"name": "monitoring", "app.kubernetes.io/name": "prometheus"}
COLLECTOR = {"name": "monitoring", "app.kubernetes.io/name": "opentelemetry-collector"}
INGRESS = {"name": "ingress-nginx", "app.kubernetes.io/name": "ingress-nginx"}
STRANGER = {"name": "default", "app.kubernetes.io/component": "worker"}
PUBLIC, PRIVATE, METADATA = "93.184.216.34", "10.1.2.3", "169.254.169.254"
HTTPS = 443


def labels(name: str) -> dict[str, str]:
    """The labels of a program's pods."""
    return dict(of_kind("Deployment", everything())[name]["spec"]["template"]["metadata"]["labels"])


def port(name: str) -> Json:
    [only] = program(of_kind("Deployment", everything())[name])["ports"]
    return dict(only)


def matches(selector: Json, given: dict[str, str]) -> bool:
    for rule in selector.get("matchExpressions", []):
        there, value = rule["key"] in given, given.get(rule["key"])
        said = {"Exists": there, "In": value in rule.get("values", []), "NotIn": value not in rule.get("values", [])}
        if not said[rule["operator"]]:
            return False
    return all(given.get(label) == value for label, value in selector.get("matchLabels", {}).items())


def is_peer(peer: Json, other: dict[str, str] | str) -> bool:
    """Whether a rule means an address, or a pod: of ours without the `name` of a namespace."""
    if isinstance(other, str):
        block: Json = peer.get("ipBlock", {})
        address = ipaddress.ip_address(other)
        return (
            bool(block)
            and address in ipaddress.ip_network(block["cidr"])
            and not any(address in ipaddress.ip_network(each) for each in block.get("except", []))
        )
    if "ipBlock" in peer:
        return False
    namespace = {"kubernetes.io/metadata.name": other.get("name", "tollgate")}
    there = matches(peer["namespaceSelector"], namespace) if "namespaceSelector" in peer else "name" not in other
    return there and matches(peer.get("podSelector", {}), other)


def allowed(direction: str, ours: str, other: dict[str, str] | str, to: set[Any]) -> bool:
    """Whether a policy lets our program send to, or receive from, the other on this port, of any of these names."""
    peers, policies = {"Egress": "to", "Ingress": "from"}[direction], of_kind("NetworkPolicy", everything()).values()
    about = [each["spec"] for each in policies if matches(each["spec"]["podSelector"], labels(ours))]
    about = [each for each in about if direction in each["policyTypes"]]
    assert about, "without a policy everything is allowed"
    return any(
        (peers not in rule or any(is_peer(peer, other) for peer in rule[peers]))
        and ("ports" not in rule or any(each["port"] in to for each in rule["ports"]))
        for spec in about
        for rule in spec.get(direction.lower(), [])
    )


def reaches(caller: str, called: str) -> bool:
    there = {port(called)[each] for each in ("containerPort", "name")}
    return allowed("Egress", caller, labels(called), there) and allowed("Ingress", called, labels(caller), there)


def test_a_pod_that_no_policy_knows_is_cut_off() -> None:
    policies = of_kind("NetworkPolicy", everything()).values()
    assert {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} in [each["spec"] for each in policies]


def test_programs_reach_only_whom_they_call() -> None:
    programs = of_kind("Deployment", everything())
    found = {(caller, called) for caller in programs for called in programs if reaches(caller, called)}
    assert found == {*(("worker", server) for server in SERVERS), ("knowledge-base", "embeddings")}


@pytest.mark.parametrize("name", ["api", "worker", "embeddings", *SERVERS])
def test_only_the_ingress_and_prometheus_come_from_elsewhere(name: str) -> None:
    there = {port(name)[each] for each in ("containerPort", "name")}
    assert allowed("Ingress", name, INGRESS, there) is (name == "api")
    assert allowed("Ingress", name, PROMETHEUS, there) is (name != "embeddings")
    assert not allowed("Ingress", name, STRANGER, there)
    assert not allowed("Ingress", name, PUBLIC, there)


@pytest.mark.parametrize("name", ["api", "worker", "embeddings", *SERVERS])
def test_only_who_must_leaves_the_namespace(name: str) -> None:
    assert allowed("Egress", name, PRIVATE, {6379}) is (name in {"api", "worker", "embeddings"})
    assert allowed("Egress", name, PUBLIC, {HTTPS}) is (name in {"worker", "embeddings", "web"})
    assert allowed("Egress", name, COLLECTOR, {4318})
    assert not allowed("Egress", name, PROMETHEUS, {9090})
    for address in (PRIVATE, METADATA):
        assert not allowed("Egress", name, address, {HTTPS})
    assert allowed("Egress", name, {"name": "kube-system", "k8s-app": "kube-dns"}, {53})
