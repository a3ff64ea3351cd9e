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
