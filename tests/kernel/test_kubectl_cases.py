"""kubectl's commands on workloads that run, printed as of a real cluster: controllers are ours, the kubelet is pretended."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.kubectl import Cluster, kubectls, started
from support.kubectlcases import RECORDED, Kubelet, differences

UNFINISHED = {"create-deployment", "describe-deployment", "describe-pod", "events", "rollout-pause", "rollout-undo"}
"""Those that wait for more of the controllers: revisions of Deployments, and events."""
CASES = sorted(folder for folder in RECORDED.iterdir() if folder.name not in UNFINISHED)


@pytest.fixture
def cluster(tmp_path):
    """A control plane with its controllers, and a pretended node."""
    with started(tmp_path / "state", "--control-plane-only") as kubeconfig:
        found = Cluster(kubeconfig, kubectls()["1.36"])
        with Kubelet(found).running():
            yield found


def test_workloads_that_run_look_as_in_a_real_cluster(cluster, tmp_path):
    cluster.warm_up(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        wrong = list(itertools.chain.from_iterable(pool.map(lambda case: differences(cluster, case, tmp_path), CASES)))
    assert not wrong, "\n\n".join(wrong)
