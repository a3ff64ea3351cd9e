"""Values that somebody may well write: read as Kubernetes reads them, or refused with place, value and way out."""

import pytest
from click.testing import CliRunner, Result

from netproxy.cli.main import root
from netproxy.core.errors import ManifestError

NODE = "{apiVersion: v1, kind: Node, metadata: {name: n1}, spec: {podCIDR: 10.244.1.0/24}}"
CONFIGURATION = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"


def rendered(text: str, *arguments: str) -> Result:
    return CliRunner().invoke(root, ["render", "-f", "-", *arguments], input=text)


@pytest.mark.parametrize("given", ["n1", " n1 ", "N1", " N1\\t"])
def test_a_host_name_is_trimmed_and_in_lower_case_everywhere(given):
    local = CONFIGURATION + f'detectLocalMode: NodeCIDR\nhostnameOverride: "{given}"\n'
    other = NODE.replace("n1", "n2").replace("10.244.1", "10.244.2")
    by_configuration = rendered(f"{local}---\n{NODE}\n---\n{other}")
    assert by_configuration.exit_code == 0, by_configuration.output
    by_option = rendered(
        f"{CONFIGURATION}detectLocalMode: NodeCIDR\n---\n{NODE}\n---\n{other}", "--node", given.strip("\\t").upper()
    )
    assert by_option.output == by_configuration.output


def test_a_blank_host_name_is_refused():
    found = rendered(f'{CONFIGURATION}hostnameOverride: "  "\n')
    assert isinstance(found.exception, ManifestError)
    assert 'hostnameOverride: Invalid value: "  ": empty hostname is invalid; leave it out' in str(found.exception)


SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: LoadBalancer
  clusterIP: 10.096.0.05
  externalIPs: [192.000.2.010]
  loadBalancerSourceRanges: [" 010.0.0.0/08"]
  ports: [{port: 80}]
status: {loadBalancer: {ingress: [{ip: 192.0.2.011}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{port: 8080, name: ""}]
endpoints: [{addresses: [010.244.0.05]}]
"""


@pytest.mark.parametrize("mode", ["iptables", "nftables", "ipvs"])
def test_addresses_with_leading_zeros_are_decimal_as_for_kube_proxy(mode):
    found = rendered(SERVICE, "--mode", mode)
    assert found.exit_code == 0, found.exception
    assert all(address in found.output for address in ("10.96.0.5", "192.0.2.10", "192.0.2.11", "10.244.0.5"))
