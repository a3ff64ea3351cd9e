"""Hypothesis strategies: services, endpoints and nodes of every kind."""

from hypothesis import strategies as st

from netproxy.proxy.model import Endpoint, ServicePort

addresses = st.integers(0, 40).map(lambda n: f"10.244.{n % 3}.{n + 1}")
zones = st.sampled_from([(), ("a",), ("b",), ("a", "b")])


@st.composite
def endpoints(draw):
    ready = draw(st.booleans())
    terminating = draw(st.booleans()) and not ready
    return Endpoint(draw(addresses), draw(st.sampled_from([80, 8080])), ready, ready or draw(st.booleans()), terminating,
                    draw(st.booleans()), draw(zones), ())  # fmt: skip


@st.composite
def services(draw, number):
    made = draw(st.lists(endpoints(), max_size=5, unique_by=lambda e: e.target))
    return ServicePort(
        "ns", f"s{number}", draw(st.sampled_from(["", "http"])), draw(st.sampled_from(["tcp", "udp", "sctp"])), f"10.96.0.{number + 1}", 80,
        draw(st.sampled_from([0, 30000 + number])), draw(st.sampled_from([(), ("192.0.2.1",)])), draw(st.sampled_from([(), ("198.51.100.1",)])),
        draw(st.sampled_from([(), ("203.0.113.0/24",), ("0.0.0.0/0",)])), 0, draw(st.booleans()), draw(st.booleans()),
        draw(st.sampled_from([0, 60])), "", tuple(sorted(made, key=lambda e: e.target)),
    )  # fmt: skip


@st.composite
def snapshots(draw):
    count = draw(st.integers(0, 5))
    return tuple(draw(services(n)) for n in range(count))
