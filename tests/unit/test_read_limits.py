"""Files that are far too large are refused by their size, whoever reads them."""

from pathlib import Path

import pytest

from netproxy.cli.files import read_manifests
from netproxy.client.kubeconfig import load
from netproxy.core.errors import ManifestError
from netproxy.labkit.flows import load_flows
from netproxy.labkit.spec import load_lab
from netproxy.nodeproxy.options import settings
from netproxy.objects.limits import MOST_BYTES


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(lambda file: read_manifests([str(file)]), id="a manifest"),
        pytest.param(lambda file: settings({}, config_file=file), id="netproxy proxy --config"),
        pytest.param(lambda file: load(file), id="a kubeconfig"),
        pytest.param(load_flows, id="flows"),
        pytest.param(lambda file: load_lab(str(file.parent)), id="a lab"),
    ],
)
def test_a_file_that_is_far_too_large_is_refused_by_its_size(read, tmp_path: Path):
    file = tmp_path / "lab.yaml"
    with file.open("wb") as opened:
        opened.truncate(MOST_BYTES * 100)  # a hole: it takes no room
    with pytest.raises(
        ManifestError, match=r"lab\.yaml: file: Too long: it is larger than 128 MiB; split it into several"
    ):
        read(file)
