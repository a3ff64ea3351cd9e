"""What ipvsadm prints, as values."""

from netproxy.ruleset.ipvs import ServerKey, parse_counters

STATS = """\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes
  -> RemoteAddress:Port
TCP  10.96.0.10:80                       3       12        9      720      540
  -> 10.244.0.5:8080                     3       12        9      720      540
UDP  [fd00::a]:53                        1        1        1       60       90
  -> [fd00:1::5]:5353                    1        1        1       60       90
"""


def test_packets_and_bytes_of_servers_and_destinations() -> None:
    web, dns = ServerKey("tcp", "10.96.0.10", 80), ServerKey("udp", "fd00::a", 53)
    assert parse_counters(STATS) == {
        (web, "", 0): (12, 720), (web, "10.244.0.5", 8080): (12, 720),
        (dns, "", 0): (1, 60), (dns, "fd00:1::5", 5353): (1, 60),
    }  # fmt: skip
