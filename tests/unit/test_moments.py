"""Times as they are written: what a real kube-apiserver 1.36.2 made of them."""

from __future__ import annotations

import pytest
from support.api import Client

from netproxy.core.clock import seconds
from netproxy.objects.moments import MICROSECONDS, moment

EVENTS, LEASES = "/api/v1/namespaces/default/events", "/apis/coordination.k8s.io/v1/namespaces/default/leases"
WRITTEN = {
    "0001-01-01T00:00:00.000000Z": None,
    "0001-01-01T00:00:02.000000Z": "0001-01-01T00:00:02.000000Z",
    "0001-01-01T00:00:00.000000+01:00": "0000-12-31T23:00:00.000000Z",
    "0000-01-01T00:00:00.000000Z": "0000-01-01T00:00:00.000000Z",
    "0000-01-01T00:00:00.000000+01:00": "-0001-12-31T23:00:00.000000Z",
    "9999-12-31T23:59:59.000000-01:00": "10000-01-01T00:59:59.000000Z",
    "0999-01-01T00:00:00.500000Z": "0999-01-01T00:00:00.500000Z",
    "0000-02-29T00:00:00.000000Z": "0000-02-29T00:00:00.000000Z",
}


@pytest.mark.parametrize("given", WRITTEN)
def test_years_of_all_sorts(given: str) -> None:
    ask, wanted = Client(), WRITTEN[given]
    status, lease = ask("POST", LEASES, {"metadata": {"name": "l"}, "spec": {"renewTime": given}})
    assert (status, lease["spec"]) == (201, {"renewTime": wanted})
    event = {
        "metadata": {"name": "e"},
        "involvedObject": {"namespace": "default"},
        "firstTimestamp": given[:19] + given[26:],
    }
    status, event = ask("POST", EVENTS, event)
    assert (status, event["firstTimestamp"]) == (201, wanted and wanted.partition(".")[0] + "Z")
    for path in (LEASES, EVENTS):
        table = ask("GET", path, accept="application/json;as=Table;v=v1;g=meta.k8s.io")
        assert (table[0], len(table[1]["rows"])) == (200, 1), "an age can be told of it"


def test_the_zero_time_has_no_fraction() -> None:
    assert moment("0001-01-01T00:00:00.000001Z", MICROSECONDS) == "0001-01-01T00:00:00.000001Z"


@pytest.mark.parametrize("given", ["0001-02-29T00:00:00Z", "2100-02-29T00:00:00Z", "2026-04-31T00:00:00Z"])
def test_days_that_there_are_not(given: str) -> None:
    with pytest.raises(ValueError, match="day out of range"):
        moment(given)


def test_what_is_wrong_is_found_in_objects_too() -> None:
    with pytest.raises(ValueError, match="cannot parse"):
        moment("yesterday")
    assert seconds("0000-12-31T23:00:00Z") < 0 < seconds("10000-01-01T00:59:59Z")
