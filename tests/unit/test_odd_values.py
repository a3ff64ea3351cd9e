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


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("bindAddress: nowhere", 'bindAddress: Invalid value: "nowhere": not a valid textual representation'),
        ('bindAddress: "fe80::1%eth0"', "bindAddress: Invalid value"),
        ("healthzBindAddress: 0.0.0.0:65536", "healthzBindAddress: Invalid value"),
        ("metricsBindAddress: here:1", 'metricsBindAddress: Invalid value: "here:1": must be an address with a port'),
        ("oomScoreAdj: 1001", "oomScoreAdj: Invalid value: 1001: must be within the range [-1000, 1000]"),
        ("conntrack: {maxPerCore: -1}", "conntrack.maxPerCore: Invalid value: -1: must be within the range [0, "),
        ("conntrack: {min: 2147483648}", "conntrack.min: Invalid value"),
        ("clientConnection: {burst: -1}", "clientConnection.burst: Invalid value"),
        ("iptables: {masqueradeBit: 32}", "iptables.masqueradeBit: Invalid value: 32: must be within the range [0, 31]"),
        ("clusterCIDR: 10.0.0.0/255.0.0.0", "clusterCIDR: Invalid value"),
        ('clusterCIDR: "10.0.0.0/8,here"', 'clusterCIDR[1]: Invalid value: "here": must be a valid CIDR value'),
        ('clusterCIDR: "10.0.0.0/8,11.0.0.0/8"', "clusterCIDR: Invalid value: \"10.0.0.0/8,11.0.0.0/8\": there may be one"),
        ('clusterCIDR: "10.0.0.0/8,fd00::/64,fd01::/64"', "there may be one for each IP family"),
        ("nodePortAddresses: [10.0.0.1]", "nodePortAddresses[0]: Invalid value"),
        ("nodePortAddresses: [10.0.0.0/8, primary]", "nodePortAddresses[1]: Invalid value: \"primary\": can't use both"),
        ("ipvs: {excludeCIDRs: [10.0.0.0/8, x]}", 'ipvs.excludeCIDRs[1]: Invalid value: "x": must be a valid CIDR value'),
        ("detectLocalMode: BridgeInterface", "detectLocal.bridgeInterface: Required value: must be given"),
        ("detectLocalMode: nodecidr", 'detectLocalMode: Unsupported value: "nodecidr"'),
    ],
)  # fmt: skip
def test_what_kube_proxy_refuses_of_its_configuration_is_refused(field, said):
    found = rendered(CONFIGURATION + field)
    assert isinstance(found.exception, ManifestError)
    assert said in str(found.exception)


@pytest.mark.parametrize(
    "field",
    [
        "bindAddress: 010.0.0.1", 'bindAddress: ""', 'healthzBindAddress: "[::]:10256"', "healthzBindAddress: 10.0.0.1", "oomScoreAdj: -1000",
        "conntrack: {maxPerCore: 0}", 'clusterCIDR: "10.0.0.0/8, fd00::/64"', "clusterCIDR: 010.0.0.0/08", "nodePortAddresses: [primary]",
        "nodePortAddresses: [010.0.0.0/8]", "ipvs: {excludeCIDRs: [010.0.0.0/8]}",
        "detectLocalMode: InterfaceNamePrefix\ndetectLocal: {interfaceNamePrefix: veth}",
    ],
)  # fmt: skip
@pytest.mark.parametrize("mode", ["iptables", "nftables", "ipvs"])
def test_what_kube_proxy_takes_is_taken(field, mode):
    found = rendered(CONFIGURATION + field, "--mode", mode)
    assert found.exit_code == 0, found.exception


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("nodes: [{name: n1, address: 10.0.0.1}]", "spec.nodes[0].address: unknown field; a node of a Cluster has name, zone,"),
        ("ipFamilies: [IPv6, IPv4, IPv6]", 'spec.ipFamilies[2]: Duplicate value: "IPv6"'),
        ("dnsDomain: " + "a" * 64, "spec.dnsDomain: Invalid value"),
        ("dnsDomain: a..b", "spec.dnsDomain: Invalid value"),
        ("serviceCIDRs: [10.96.0.0/255.255.0.0]", "spec.serviceCIDRs[0]: Invalid value"),
        ('podCIDRs: ["::ffff:10.0.0.0/112"]', "must not hold IPv4 addresses in IPv6 ones"),
    ],
)  # fmt: skip
def test_a_cluster_that_cannot_be_is_refused(field, said):
    found = rendered("apiVersion: netproxy.dev/v1alpha1\nkind: Cluster\nspec:\n  " + field)
    assert isinstance(found.exception, ManifestError)
    assert said in str(found.exception)
