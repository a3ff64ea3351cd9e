"""The line that `capture --print` has for a packet."""

import re

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.layers.sctp import SCTP

from netproxy.linux.sniff import Capture, summary


def line(packet) -> str:
    with Capture([]):  # as the command does
        packet = Ether(bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / packet))
    packet.time = 1700000000.25
    packet.sniffed_on = "node1/eth0"
    return summary(packet)


def test_it_begins_with_the_time_of_day_and_the_place() -> None:
    assert re.match(r"\d\d:\d\d:20\.250000 node1/eth0 +Ether / IP ", line(IP() / TCP(sport=40000, dport=8080)))


@pytest.mark.parametrize(
    ("packet", "ports"),
    [
        pytest.param(IP(src="127.0.0.1", dst="10.96.0.1") / TCP(sport=22, dport=443, flags="S"), "127.0.0.1:22 > 10.96.0.1:443 S", id="TCP"),
        pytest.param(IP(src="127.0.0.1", dst="10.96.0.1") / UDP(sport=123, dport=69), "127.0.0.1:123 > 10.96.0.1:69", id="UDP"),
        pytest.param(IPv6(src="fd00::1", dst="fd00::2") / TCP(sport=80, dport=22), "fd00::1:80 > fd00::2:22 S", id="IPv6"),
    ],
)  # fmt: skip
def test_ports_are_numbers(packet, ports) -> None:
    assert ports in line(packet)


def test_a_packet_without_a_line_of_its_own_has_one() -> None:
    assert "sctp" in line(IP() / SCTP(sport=80, dport=9))
