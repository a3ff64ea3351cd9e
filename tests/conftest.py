"""Fixtures by need: a kernel namespace of one's own, a cluster; both are removed whatever happens."""

import os
import signal
import uuid
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from support.cluster import Cluster
from support.examples import USUAL

from netproxy.linux import netns
from netproxy.linux.ipvs import missing_modules

usual = settings(max_examples=USUAL, deadline=None, suppress_health_check=[HealthCheck.too_slow])  # busy machines
settings.register_profile("usual", usual)  # `make test`
settings.load_profile("usual")
settings.register_profile("quick", usual, max_examples=USUAL // 5)  # `make quick`
settings.register_profile("same", usual, derandomize=True, database=None)  # `make check`: no branch by chance
settings.register_profile("long", usual, max_examples=20 * USUAL)  # `make test` of whoever asks the API: a minute
signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that fixtures clean up after it, too
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell ignores for what runs in its background
HOME = os.stat("/proc/self/ns/net").st_ino


def _reason_against_kernel() -> str:
    if os.geteuid() != 0:
        return "needs root: run `make test` (sudo), or as an ordinary user only the tests without a kernel"
    return ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = _reason_against_kernel()
    for item in items:
        parts = item.path.parts
        if "kernel" in parts or "labs" in parts[-2:]:
            item.add_marker("kernel" if "kernel" in parts else "labs")
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))
    if not reason:
        _mark_what_needs_ipvs([item for item in items if item.get_closest_marker("ipvs")])


def _mark_what_needs_ipvs(items: list[pytest.Item]) -> None:
    lacking = ", ".join(missing_modules()) if items else ""
    for item in items if lacking else ():
        why = f"this kernel lacks {lacking}: `make vm ARGS='pytest tests/kernel -m ipvs'` has all (`make test` does it)"
        item.add_marker(pytest.mark.skip(reason=why))


@pytest.fixture
def namespace() -> Iterator[str]:
    """A new network namespace with lo up, removed afterwards."""
    netns.prepare()
    name = f"{os.environ.get('NPTEST_PREFIX', 'nptest-')}{uuid.uuid4().hex[:8]}"
    try:
        with netns.visiting():
            netns.create(name)
            assert os.stat("/proc/thread-self/ns/net").st_ino != HOME
        yield name
    finally:
        netns.delete(name)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """The command line with a cluster name of its own; whatever the test starts is taken down."""
    made = Cluster()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def shared_cluster() -> Iterator[Cluster]:
    """The same for a whole file."""
    made = Cluster()
    try:
        yield made
    finally:
        made.close()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update", action="store_true", help="rewrite the golden files")
