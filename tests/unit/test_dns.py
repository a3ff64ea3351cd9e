"""The requirements of cluster DNS, one after the other (the numbers are those of the specification's list in docs/dns.md)."""

import dnslib
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.build import pod_object, service_object, slice_object

from netproxy.dns import wire
from netproxy.dns.answer import NOERROR, NXDOMAIN, REFUSED, Answer, Rr, answer, rotations
from netproxy.dns.parts import Parts, build_zone
from netproxy.dns.zone import reverse_name


def headless(name="db", **spec):
    return service_object(name, clusterIP="None", **spec)


def endpoints(service, *items, ports=None):
    made = slice_object(service, tuple(a for a, *_ in items))
    for endpoint, (_, *more) in zip(made["endpoints"], items, strict=True):
        for field in more:
            endpoint.update(field)
    return {**made, **({"ports": ports} if ports is not None else {})}


NOT_READY = {"conditions": {"ready": False}}
OBJECTS = [
    service_object("web", clusterIP="10.96.0.5", clusterIPs=["10.96.0.5"]),
    service_object("both", clusterIPs=["10.96.0.6", "fd00:96::6"]),
    headless(), headless("empty"), headless("portless", ports=[]),
    headless("early", publishNotReadyAddresses=True),
    service_object("unnamed", clusterIP="10.96.0.7", clusterIPs=["10.96.0.7"], ports=[{"port": 80, "protocol": "TCP"}]),
    service_object("away", type="ExternalName", externalName="example.com"),
    service_object("inside", type="ExternalName", externalName="web.default.svc.cluster.local"),
    service_object("nowhere", type="ExternalName", externalName="none.default.svc.cluster.local"),
    service_object("kube-dns", "kube-system", clusterIP="10.96.0.10", clusterIPs=["10.96.0.10"]),
]  # fmt: skip
SLICES = [
    endpoints("web", ("10.244.0.9",)),
    endpoints("db", ("10.244.0.1", {"hostname": "db-0"}), ("10.244.0.2",), ("10.244.0.3", NOT_READY)),
    endpoints("portless", ("10.244.0.4",), ports=[]),
    endpoints("early", ("10.244.0.5", NOT_READY)),
    endpoints("empty", ("10.244.0.6", NOT_READY)),
    {
        **endpoints("db", ("fd00:244::1",)),
        "metadata": {**endpoints("db", ("fd00:244::1",))["metadata"], "name": "db-6"},
    },
]
SPACES = [{"metadata": {"name": n}} for n in ("default", "kube-system", "quiet")]
REVERSE = ["10.244.0.0/16", "10.96.0.0/16", "fd00:244::/64", "fd00:96::/112"]


def zone(**more):
    return build_zone(OBJECTS, SLICES, SPACES, [pod_object("p", "10.244.0.9")], reverse=REVERSE, **more)


ZONE = zone()
SVC = "svc.cluster.local"


def ask(name, kind="A", at=ZONE):
    return answer(at, name, kind)


def values(found):
    return [rr.value for rr in found.answers]


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        pytest.param(f"web.default.{SVC}", "A", ["10.96.0.5"], id="1 ClusterIP"),
        pytest.param(f"both.default.{SVC}", "AAAA", ["fd00:96::6"], id="1 dual stack"),
        pytest.param(f"db.default.{SVC}", "A", ["10.244.0.1", "10.244.0.2"], id="2 headless: ready ones"),
        pytest.param(f"db.default.{SVC}", "AAAA", ["fd00:244::1"], id="2 headless: the other family"),
        pytest.param(f"early.default.{SVC}", "A", ["10.244.0.5"], id="2 publishNotReadyAddresses"),
        pytest.param(f"portless.default.{SVC}", "A", ["10.244.0.4"], id="2 without ports"),
        pytest.param(f"db-0.db.default.{SVC}", "A", ["10.244.0.1"], id="3 hostname"),
        pytest.param(f"10-244-0-2.db.default.{SVC}", "A", ["10.244.0.2"], id="3 dashed address"),
        pytest.param(f"fd00-244--1.db.default.{SVC}", "AAAA", ["fd00:244::1"], id="3 dashed IPv6"),
        pytest.param(f"10-244-0-9.web.default.{SVC}", "A", ["10.244.0.9"], id="3 of a ClusterIP Service too"),
        pytest.param("5.0.96.10.in-addr.arpa", "PTR", [f"web.default.{SVC}"], id="6 ClusterIP"),
        pytest.param("1.0.244.10.in-addr.arpa", "PTR", [f"db-0.db.default.{SVC}"], id="6 endpoint"),
        pytest.param("9.0.244.10.in-addr.arpa", "PTR", [f"10-244-0-9.web.default.{SVC}"], id="6 not headless"),
        pytest.param("10-1-2-3.default.pod.cluster.local", "A", ["10.1.2.3"], id="8 insecure: any address"),
        pytest.param("dns-version.cluster.local", "TXT", ["1.1.0"], id="9 version"),
        pytest.param("cluster.local", "NS", ["ns.dns.cluster.local"], id="11 apex NS"),
        pytest.param("ns.dns.cluster.local", "A", ["10.96.0.10"], id="11 glue"),
    ],
)  # fmt: skip
def test_positive_answers(name, kind, expected):
    found = ask(name, kind)
    assert found.code == NOERROR
    assert values(found) == expected
    assert all(rr.ttl_s == (28800 if kind == "TXT" else 5) for rr in found.answers)


@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [
        pytest.param(f"web.default.{SVC}", "AAAA", NOERROR, id="1 other family"),
        pytest.param(f"web.default.{SVC}", "TXT", NOERROR, id="10 other type"),
        pytest.param(f"empty.default.{SVC}", "A", NXDOMAIN, id="2 nobody ready"),
        pytest.param(SVC, "A", NOERROR, id="10 svc"),
        pytest.param("pod.cluster.local", "A", NOERROR, id="10 pod"),
        pytest.param(f"quiet.{SVC}", "A", NOERROR, id="10 empty namespace"),
        pytest.param(f"_tcp.web.default.{SVC}", "SRV", NOERROR, id="10 between"),
        pytest.param(f"none.{SVC}", "A", NXDOMAIN, id="10 no namespace"),
        pytest.param(f"none.default.{SVC}", "A", NXDOMAIN, id="10 no service"),
        pytest.param(f"x.db.default.{SVC}", "A", NXDOMAIN, id="10 no endpoint"),
        pytest.param(f"x.away.default.{SVC}", "A", NXDOMAIN, id="7 below an ExternalName"),
        pytest.param("10-1-2-3.none.pod.cluster.local", "A", NXDOMAIN, id="8 no namespace"),
        pytest.param("not-an-ip.default.pod.cluster.local", "A", NXDOMAIN, id="8 no address"),
        pytest.param("7.7.244.10.in-addr.arpa", "PTR", NXDOMAIN, id="6 nobody's"),
        pytest.param(f"web.default.{SVC}", "NS", NOERROR, id="11 below the apex"),
        pytest.param(f"_nothing._tcp.web.default.{SVC}", "SRV", NXDOMAIN, id="5 no such port"),
        pytest.param(f"_http._udp.web.default.{SVC}", "SRV", NXDOMAIN, id="5 no such protocol"),
    ],
)  # fmt: skip
def test_negative_answers_carry_the_soa(name, kind, code):
    found = ask(name, kind)
    assert (found.code, found.answers) == (code, ())
    (soa,) = found.authority
    apex = soa.name
    assert soa.value[:2] == (f"ns.dns.{apex}", f"hostmaster.{apex}")
    assert soa.value[2][1:] == (7200, 1800, 86400, 5)


def test_srv_of_a_service():
    found = ask(f"_http._tcp.web.default.{SVC}", "SRV")
    assert values(found) == [(0, 100, 80, f"web.default.{SVC}")]
    assert [rr.value for rr in found.additional] == ["10.96.0.5"]
    assert values(ask(f"web.default.{SVC}", "SRV")) == values(found)
    assert values(ask(f"unnamed.default.{SVC}", "SRV")) == [(0, 100, 80, f"unnamed.default.{SVC}")]


def test_srv_of_a_headless_service_names_each_endpoint_and_shares_the_weight():
    found = ask(f"_http._tcp.db.default.{SVC}", "SRV")
    assert [(v[1], v[3].partition(".")[0]) for v in values(found)] == [
        (33, "db-0"),
        (33, "10-244-0-2"),
        (33, "fd00-244--1"),
    ]
    assert {rr.value for rr in found.additional} == {"10.244.0.1", "10.244.0.2", "fd00:244::1"}


def test_srv_weights_are_shared_before_the_same_target_twice_is_dropped():
    both = service_object(
        "both", clusterIPs=["10.96.0.6", "fd00:96::6"], ports=[{"name": "a", "port": 1}, {"name": "b", "port": 2}]
    )
    twice = endpoints(
        "db",
        ("10.244.0.1", {"hostname": "one"}),
        ("10.244.0.2", {"hostname": "one"}),
        ("10.244.0.3", {"hostname": "two"}),
    )
    numberless = {
        **endpoints("db", ("10.244.0.4",), ports=[{"name": "odd", "port": None}]),
        "metadata": {**twice["metadata"], "name": "db-2"},
    }
    at = build_zone([both, headless()], [twice, numberless], SPACES)
    assert values(ask(f"_a._tcp.both.default.{SVC}", "SRV", at)) == [(0, 50, 1, f"both.default.{SVC}")]
    assert [v[1:3] for v in values(ask(f"both.default.{SVC}", "SRV", at))] == [(25, 1), (25, 2)]
    found = ask(f"_http._tcp.db.default.{SVC}", "SRV", at)
    assert [(v[1], v[3].partition(".")[0]) for v in values(found)] == [(33, "one"), (33, "two")]
    assert [rr.value for rr in found.additional] == ["10.244.0.1", "10.244.0.2", "10.244.0.3"]
    assert [v[1] for v in values(ask(f"db.default.{SVC}", "SRV", at))] == [25, 25], "a port without a number counts"
    odd = ask(f"_odd._tcp.db.default.{SVC}", "SRV", at)
    assert (odd.code, odd.answers) == (NOERROR, ())


@pytest.mark.parametrize("owner", ["web", "db"])
def test_srv_of_an_endpoints_own_name_says_its_ports(owner):
    slices = [endpoints(owner, ("10.244.0.9",), ports=[{"name": "a", "port": 1}, {"name": "b", "port": 2}])]
    host = f"10-244-0-9.{owner}.default.{SVC}"
    found = ask(host, "SRV", build_zone(OBJECTS, slices, SPACES))
    assert values(found) == [(0, 50, 1, host), (0, 50, 2, host)]
    assert [rr.value for rr in found.additional] == ["10.244.0.9"]
    assert ask(f"_a._tcp.{host}", "SRV", build_zone(OBJECTS, slices, SPACES)).code == NXDOMAIN


def test_no_weight_is_below_one():
    many = endpoints("db", *((f"10.244.{n // 250}.{n % 250}",) for n in range(300)))
    assert {
        v[1] for v in values(ask(f"_http._tcp.db.default.{SVC}", "SRV", build_zone([headless()], [many], SPACES)))
    } == {1}


def test_the_apex_names_its_server_with_its_address():
    found = ask("cluster.local", "NS")
    assert [(rr.name, rr.value) for rr in found.additional] == [("ns.dns.cluster.local", "10.96.0.10")]


def test_an_ipv6_endpoint_that_ends_in_zeros_has_a_name_that_ends_in_one():
    at = build_zone([headless()], [endpoints("db", ("fd00:244::",))], SPACES)
    assert values(ask(f"fd00-244--0.db.default.{SVC}", "AAAA", at)) == ["fd00:244::"]
    assert ask(f"fd00-244--.db.default.{SVC}", "AAAA", at).code == NXDOMAIN
    assert values(ask(reverse_name("fd00:244::"), "PTR", at)) == [f"fd00-244--0.db.default.{SVC}"]


@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::7"])
def test_an_external_name_that_is_an_address_is_no_name(address):
    at = build_zone([service_object("away", type="ExternalName", externalName=address)], [], SPACES)
    for kind in ("A", "AAAA", "CNAME"):
        assert ask(f"away.default.{SVC}", kind, at).code == NXDOMAIN


def test_external_names_that_lead_round_in_a_circle_lead_nowhere():
    there, back = (
        service_object(a, type="ExternalName", externalName=f"{b}.default.{SVC}.") for a, b in (("x", "y"), ("y", "x"))
    )
    at = build_zone([there, back], [], SPACES)
    found = ask(f"x.default.{SVC}", "A", at)
    assert (found.code, found.answers, found.authority[0].type) == (NOERROR, (), "SOA")
    assert values(ask(f"x.default.{SVC}", "CNAME", at)) == [f"y.default.{SVC}"]


@pytest.mark.parametrize(
    ("address", "names"),
    [
        pytest.param("192.168.0.2", ["192-168-0-2.db"], id="of a Pod in its node's network"),
        pytest.param("203.0.113.9", ["203-0-113-9.own"], id="of nobody's Pod, by hand"),
        pytest.param("2001:db8::9", ["2001-db8--9.own"], id="IPv6, by hand"),
        pytest.param("10.244.0.1", ["db-0.db", "10-244-0-1.own"], id="of two Services"),
        pytest.param("10.96.0.5", ["web"], id="a ClusterIP, whoever points there"),
        pytest.param("203.0.113.10", [], id="not ready"),
    ],
)
def test_every_ready_endpoint_has_its_names(address, names):
    at = build_zone(
        [service_object("web", clusterIP="10.96.0.5"), headless(), headless("own", selector=None)],
        [
            endpoints("db", ("10.244.0.1", {"hostname": "db-0"}), ("192.168.0.2",)),
            endpoints("own", ("203.0.113.9",), ("2001:db8::9",), ("10.244.0.1",), ("10.96.0.5",), ("203.0.113.10", NOT_READY)),
        ],
        SPACES, reverse=REVERSE,
    )  # fmt: skip
    found = ask(reverse_name(address), "PTR", at)
    if names:
        assert values(found) == [f"{name}.default.{SVC}" for name in names]
    else:
        assert found is None, "somebody else may know it"


@pytest.mark.parametrize("name", ["ab." * 16 + "ip6.arpa", "05.0.96.10.in-addr.arpa", "0.10.in-addr.arpa"])
def test_what_only_looks_like_an_address_is_none(name):
    assert ask(name, "PTR") is None


def test_addresses_with_zeros_in_front_are_read_as_kubernetes_reads_them_and_others_are_left_out():
    at = build_zone([headless()], [endpoints("db", ("010.244.000.1",), ("10.244.0",))], SPACES)
    assert values(ask(f"db.default.{SVC}", at=at)) == ["10.244.0.1"]


def test_a_slice_of_names_or_of_no_service_gives_nothing():
    names = {**endpoints("db", ("10.244.0.1",)), "addressType": "FQDN"}
    at = build_zone([headless()], [names, {"metadata": {"name": "x", "namespace": "default"}}], SPACES)
    assert ask(f"db.default.{SVC}", at=at).code == NXDOMAIN


def test_a_service_without_sense_is_left_out_and_named():
    broken = service_object("broken", clusterIP="10.96.0.1", ports=[{"port": "http"}])
    at = build_zone([broken, *OBJECTS], SLICES, SPACES)
    assert values(ask(f"web.default.{SVC}", at=at)) == ["10.96.0.5"]
    assert ask(f"broken.default.{SVC}", at=at).code == NXDOMAIN
    assert at.faults == ("Service default/broken: ValueError: invalid literal for int() with base 10: 'http'",)


def test_only_the_part_of_what_changed_is_made_anew_and_the_zone_is_the_same():
    parts = Parts("cluster.local")
    before = parts.of(OBJECTS, SLICES)
    changed = endpoints("web", ("10.244.0.77",))
    objects, slices = [*OBJECTS[1:], OBJECTS[0]], [changed, *SLICES[1:]]
    after = parts.of(objects, slices)
    assert [one for one in after if not any(one is other for other in before)] == [after[-1]]
    assert build_zone(objects, slices, SPACES, parts=parts) == build_zone(objects, slices, SPACES)
    assert len(parts.of(OBJECTS[:3], SLICES)) == 3


SERVICE = st.builds(
    lambda name, **spec: service_object(name, **spec),
    st.sampled_from("abc"),
    clusterIP=st.sampled_from(["None", "10.96.0.1", "10.96.0.2"]),
    type=st.sampled_from(["ClusterIP", "ExternalName"]),
    externalName=st.sampled_from(["example.com", "a.default.svc.cluster.local"]),
)
SLICE = st.builds(
    lambda service, *addresses: endpoints(service, *((a,) for a in addresses)),
    st.sampled_from("abc"),
    *[st.sampled_from(["10.244.0.1", "10.244.0.2", "10.96.0.1"])] * 2,
)


@given(st.lists(st.tuples(st.lists(SERVICE, unique_by=lambda s: s["metadata"]["name"]), st.lists(SLICE)), max_size=4))
def test_the_past_does_not_matter(moments):
    parts = Parts("cluster.local")
    for services, slices in moments:
        assert build_zone(services, slices, SPACES, parts=parts) == build_zone(services, slices, SPACES)


def test_external_names_are_followed_inside_and_handed_out_outside():
    found = ask(f"inside.default.{SVC}")
    assert [(rr.type, rr.value) for rr in found.answers] == [("CNAME", f"web.default.{SVC}"), ("A", "10.96.0.5")]
    assert ask(f"inside.default.{SVC}", "CNAME").answers == found.answers[:1]
    assert ask(f"nowhere.default.{SVC}").code == NXDOMAIN
    away = ask(f"away.default.{SVC}")
    assert (away.outside, values(away)) == ("example.com", ["example.com"])


def test_pod_names_by_mode():
    name = "10-244-0-9.default.pod.cluster.local"
    assert ask(name, at=zone(pods_mode="disabled")).code == NXDOMAIN
    assert values(ask(name, at=zone(pods_mode="verified"))) == ["10.244.0.9"]
    assert ask("10-244-0-8.default.pod.cluster.local", at=zone(pods_mode="verified")).code == NXDOMAIN
    assert values(ask("fd00-244--.default.pod.cluster.local", "AAAA")) == ["fd00:244::"]
    assert ask("fe80--1%eth0.default.pod.cluster.local", "AAAA").code == NXDOMAIN


def test_the_case_of_the_question_is_kept():
    found = ask(f"WeB.Default.{SVC}")
    assert found.answers[0].name == f"WeB.Default.{SVC}"


def test_what_is_outside_is_not_answered_and_transfers_are_refused():
    assert ask("example.com") is None
    assert ask("1.1.1.1.in-addr.arpa", "PTR") is None
    assert ask("x.ip6.arpa", "PTR") is None
    assert ask("cluster.local", "AXFR").code == REFUSED
    assert {rr.type for rr in ask(f"both.default.{SVC}", "ANY").answers} == {"A", "AAAA", "SRV"}
    assert ask("cluster.local", "SOA").answers[0].type == "SOA"


def test_addresses_take_turns():
    turned = rotations(ask(f"db.default.{SVC}"))
    assert [values(t) for t in turned] == [["10.244.0.1", "10.244.0.2"], ["10.244.0.2", "10.244.0.1"]]
    assert len(rotations(ask(f"web.default.{SVC}"))) == 1


def raw(name="web.default.svc.cluster.local", kind="A", **flags):
    data = bytearray(wire.query(name, kind, 0x1234))
    for at, value in flags.items():
        data[int(at[1:])] = value
    return bytes(data)


def test_messages_of_the_wire():
    question = wire.parse(raw())
    assert (question.id, question.name, question.type, question.edns, question.udp_size) == (
        0x1234,
        f"web.default.{SVC}",
        "A",
        False,
        512,
    )
    reply = wire.pack(question, ask(question.name), size=512)
    assert reply[:4] == bytes([0x12, 0x34, 0x85, 0x80])
    assert reply.endswith(bytes([10, 96, 0, 5]))


def asked(name: bytes, more: bytes = b"\0\1\0\1", counts: bytes = b"\0\1\0\0\0\0\0\0") -> bytes:
    return b"\0\7\1\0" + counts + name + more


OPT = b"\0\0\x29\4\xd0\0\0\0\0\0\0"
WEB = b"\3web\7default\3svc\7cluster\5local\0"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(raw(b2=0x20 | 1), 4, id="an opcode that nobody serves"),
        pytest.param(raw(b5=2), 1, id="two questions"),
        pytest.param(raw()[:-3], 1, id="cut off in the type"),
        pytest.param(raw()[:20], 1, id="cut off in the name"),
        pytest.param(raw(b5=0)[:12], 1, id="no question"),
        pytest.param(asked(b"\x50" + b"x" * 80 + WEB), 1, id="a label over 63"),
        pytest.param(asked(b"\3web\xc0\x0c"), 1, id="a pointer, and to itself"),
        pytest.param(asked((b"\x3f" + b"x" * 63) * 4 + b"\0"), 1, id="a name over 255"),
        pytest.param(asked(WEB, b"\0\1\0\3"), 4, id="another class than IN"),
        pytest.param(asked(WEB, b"\0\1\0\1" + OPT + OPT, b"\0\1\0\0\0\0\0\2"), 1, id="two OPT"),
        pytest.param(asked(WEB, b"\0\1\0\1" + OPT[:-1], b"\0\1\0\0\0\0\0\1"), 1, id="OPT cut off"),
        pytest.param(asked(WEB, b"\0\1\0\1" + OPT[:-1] + b"\5", b"\0\1\0\0\0\0\0\1"), 1, id="options cut off"),
        pytest.param(asked(WEB, b"\0\1\0\1\x50" + OPT, b"\0\1\0\0\0\0\0\1"), 1, id="a record's label over 63"),
    ],
)
def test_bad_questions_get_their_code(data, code):
    question = wire.parse(data)
    assert question.code == code
    reply = wire.pack(question, Answer(question.code), size=512)
    assert (reply[:2], reply[2] & 0x84, reply[3] & 15) == (data[:2], 0x80, code)


def test_records_beside_the_question_are_passed_over():
    record = b"\3any\xc0\x0c\0\x10\0\1\0\0\0\0\0\2\1x"
    question = wire.parse(asked(WEB, b"\0\1\0\1" + record + OPT, b"\0\1\0\0\0\1\0\1"))
    assert (question.code, question.name, question.edns, question.udp_size) == (0, f"web.default.{SVC}", True, 1232)
    assert wire.parse(asked(WEB, b"\x12\x34\0\1")).type == "TYPE4660"


@pytest.mark.parametrize("odd", [b"a.b", b"\x00\xff ", b"back\\slash", b"\xc3\xbc"], ids=repr)
def test_a_name_of_any_bytes_is_its_own_name_and_comes_back_as_it_was(odd):
    data = asked(bytes([len(odd)]) + odd + WEB)
    question = wire.parse(data)
    assert question.code == 0
    assert question.name.count(".") == 5, "a dot inside a label is no dot between labels"
    answers = tuple(Rr(name, "A", "10.0.0.1") for name in (question.name, f"x.{question.name}"))
    reply = wire.pack(question, Answer(answers=answers), size=512)
    assert reply[12 : len(data)] == data[12:]
    assert reply[len(data) :][:2] == b"\xc0\x0c"
    assert reply[len(data) + 16 :][:4] == b"\1x\xc0\x0c"
    assert wire.query(question.name, "A", 7) == data


def test_a_query_for_a_type_without_a_word():
    assert wire.parse(wire.query("a.b", "TYPE4660", 1)).type == "TYPE4660"


def test_what_is_no_question_gets_nothing():
    assert wire.parse(b"x") is None
    assert wire.parse(raw(b2=0x80)) is None


def edns(version=0, size=1232):
    return raw()[:11] + b"\x01" + raw()[12:] + b"\0\0\x29" + size.to_bytes(2, "big") + bytes([0, version, 0, 0, 0, 0])


def test_edns_is_echoed_and_its_version_checked():
    question = wire.parse(edns(size=4096))
    assert (question.edns, question.udp_size) == (True, 4096)
    assert wire.pack(question, Answer(), size=0)[-11:-8] == b"\0\0\x29"
    bad = wire.parse(edns(version=1))
    assert bad.code == 16
    packed = wire.pack(bad, Answer(bad.code), size=512)
    assert (packed[3] & 15, packed[-6]) == (0, 1)
    assert wire.parse(edns(size=100)).udp_size == 512


def test_the_dnssec_flag_comes_back():
    data = raw()[:11] + b"\x01" + raw()[12:] + b"\0\0\x29\4\xd0\0\0\x80\0\0\0"
    assert wire.pack(wire.parse(data), Answer(), size=512)[-4:] == b"\x80\0\0\0"


def test_of_an_answer_too_large_for_a_datagram_as_much_is_sent_as_fits():
    question = wire.parse(raw())
    large = Answer(answers=tuple(Rr(question.name, "A", f"10.0.0.{n}") for n in range(60)))
    cut = wire.pack(question, large, size=512)
    assert cut[2] & 2
    assert 512 - 16 < len(cut) <= 512
    assert [str(rr.rdata) for rr in dnslib.DNSRecord.parse(cut).rr] == [f"10.0.0.{n}" for n in range(29)]
    assert not wire.pack(question, large, size=0)[2] & 2


def test_what_does_not_fit_goes_from_the_end_and_the_options_stay():
    question = wire.parse(edns())
    srv = tuple(Rr(question.name, "SRV", (0, 1, 80, f"h{n}.{question.name}")) for n in range(9))
    glue = tuple(Rr(f"h{n}.{question.name}", "A", f"10.0.0.{n}") for n in range(9))
    whole = len(wire.pack(question, Answer(0, srv, (), glue), size=1232))
    for size in range(60, whole + 1):
        data = wire.pack(question, Answer(0, srv, (), glue), size=size)
        read = dnslib.DNSRecord.parse(data)
        assert len(data) <= size
        assert bool(read.header.tc) == (size < whole)
        assert len(read.ar) == 1 or len(read.rr) == 9, "additional records only behind all answers"
        assert read.ar[-1].rtype == dnslib.QTYPE.OPT


def test_names_in_srv_records_are_written_in_full_and_their_addresses_point_at_them():
    question = wire.parse(raw())
    host, other = f"h.{question.name}", f"i.{question.name}"
    srv = (Rr(question.name, "SRV", (0, 1, 80, host)), Rr(question.name, "SRV", (0, 1, 80, other)))
    without, data = (
        wire.pack(question, Answer(0, srv, (), glue), size=0) for glue in ((), (Rr(other, "A", "10.0.0.1"),))
    )
    assert data.count(b"\1h\3web\7default") == data.count(b"\1i\3web\7default") == 1
    pointer, fixed, address = 2, 10, 4
    assert len(data) - len(without) == pointer + fixed + address
    assert [str(rr.rname) for rr in dnslib.DNSRecord.parse(data).ar] == [f"{other}."]


def test_only_the_bit_that_says_ask_over_tcp():
    reply = wire.cut(wire.parse(raw()))
    assert (reply[2] & 2, reply[12:]) == (2, raw()[12:])


@pytest.mark.parametrize(
    "rr",
    [
        pytest.param(("CNAME", "x" * 64 + ".example"), id="a label over 63"),
        pytest.param(("CNAME", "a..b"), id="an empty label"),
        pytest.param(("CNAME", ".".join(["x" * 60] * 5)), id="a name over 255"),
        pytest.param(("CNAME", "b\u00fccher.example"), id="not ASCII"),
        pytest.param(("A", "10.0.0"), id="no address"),
    ],
)
def test_an_answer_that_cannot_be_written_is_a_failure(rr):
    question = wire.parse(raw())
    reply = dnslib.DNSRecord.parse(wire.pack(question, Answer(answers=(Rr(question.name, *rr),)), size=512))
    assert (reply.header.rcode, reply.rr) == (2, [])
    assert str(reply.q.qname) == question.name + "."


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (f"web.default.{SVC}", "SRV"), (f"db.default.{SVC}", "SRV"), ("5.0.96.10.in-addr.arpa", "PTR"), ("dns-version.cluster.local", "TXT"),
        (f"BOTH.default.{SVC}", "AAAA"), (f"both.default.{SVC}", "ANY"), ("cluster.local", "NS"), (f"away.default.{SVC}", "CNAME"),
        (f"inside.default.{SVC}", "A"), (SVC, "A"), ("cluster.local", "SOA"), (f"none.default.{SVC}", "A"),
    ],
)  # fmt: skip
def test_what_is_written_is_what_another_reader_reads(name, kind):
    question, found = wire.parse(raw(name, kind)), ask(name, kind)
    read = dnslib.DNSRecord.parse(wire.pack(question, found, size=0))
    assert (read.header.id, read.header.rcode, read.header.aa, read.header.tc) == (0x1234, found.code, 1, 0)
    assert (str(read.q.qname), dnslib.QTYPE[read.q.qtype]) == (name + ".", kind)
    for written, records in ((found.answers, read.rr), (found.authority, read.auth), (found.additional, read.ar)):
        assert [spelt(rr) for rr in written] == [
            (str(rr.rname), dnslib.QTYPE[rr.rtype], rr.ttl, str(rr.rdata)) for rr in records
        ]


def spelt(rr):
    match rr.type:
        case "SRV":
            text = "{} {} {} {}.".format(*rr.value)
        case "SOA":
            text = "{}. {}. {} {} {} {} {}".format(*rr.value[:2], *rr.value[2])
        case "TXT":
            text = f'"{rr.value}"'
        case "CNAME" | "PTR" | "NS":
            text = f"{rr.value}."
        case _:
            text = rr.value
    return rr.name + ".", rr.type, rr.ttl_s, text


def test_a_text_longer_than_one_string():
    question = wire.parse(raw())
    (rr,) = dnslib.DNSRecord.parse(wire.pack(question, Answer(answers=(Rr("t", "TXT", "x" * 300),)), size=0)).rr
    assert [len(part) for part in rr.rdata.data] == [255, 45]


def test_a_name_far_behind_is_not_pointed_at():
    question = wire.parse(raw())
    many = tuple(Rr(f"h{n}.example", "TXT", "x" * 255) for n in range(70)) * 2
    read = dnslib.DNSRecord.parse(wire.pack(question, Answer(answers=many), size=0))
    assert [str(rr.rname) for rr in read.rr] == [f"h{n}.example." for n in range(70)] * 2


@given(st.binary(max_size=80), st.binary(max_size=40))
def test_no_bytes_are_too_odd_to_be_read(junk, more):
    for data in (junk, raw()[:12] + junk, raw() + junk, raw()[:11] + b"\1" + raw()[12:] + junk, edns() + more):
        question = wire.parse(data)
        if question is not None:
            reply = wire.pack(question, Answer(question.code or 3), size=512)
            assert (reply[:2], reply[2] & 0x80) == (data[:2], 0x80)


def test_the_shortest_failure():
    assert wire.failure(raw()) == b"\x12\x34\x81\x82" + bytes(8)
    assert wire.failure(raw(b2=0x80)) is None
    assert wire.failure(b"short") is None


def test_an_upstream_answer_completes_a_cname():
    own = ask(f"away.default.{SVC}")
    upstream = wire.pack(wire.parse(raw("example.com")), Answer(answers=(Rr("example.com", "A", "192.0.2.1"),)), size=0)
    assert [rr.value for rr in wire.merge_outside(own, upstream).answers] == ["example.com", "192.0.2.1"]
    assert wire.merge_outside(own, b"x").code == 2


def test_of_what_others_answered_as_much_is_passed_on_as_fits():
    question = wire.parse(edns())
    records = tuple(Rr(f"h{n}.{question.name}", "A", f"10.0.0.{n}") for n in range(6))
    data = wire.pack(question, Answer(0, records[:3], records[3:5], records[5:]), size=0)
    for size in range(70, len(data)):
        short = wire.shortened(question, data, size)
        read = dnslib.DNSRecord.parse(short)
        passed = [str(rr.rdata) for rr in (*read.rr, *read.auth, *read.ar[:-1])]
        assert len(short) <= size
        assert size < len(short) + 30, "one more would have fit"
        assert passed == [f"10.0.0.{n}" for n in range(len(passed))]
        assert read.header.tc == 1
        assert read.ar[-1].rtype == dnslib.QTYPE.OPT


def test_without_an_opt_none_is_made_and_records_behind_one_are_left_out():
    question = wire.parse(raw())
    data = wire.pack(
        question, Answer(answers=(Rr(question.name, "A", "10.0.0.1"), Rr(question.name, "A", "10.0.0.2"))), size=0
    )
    assert wire.shortened(question, data, len(data)) == data
    assert dnslib.DNSRecord.parse(wire.shortened(question, data, len(data) - 1)).ar == []
    assert len(dnslib.DNSRecord.parse(wire.shortened(question, data + bytes(9), len(data))).rr) == 2, (
        "rubbish goes first"
    )
    behind = data[:6] + b"\0\1\0\0\0\2" + data[12:-16] + OPT + data[-16:]
    read = dnslib.DNSRecord.parse(wire.shortened(question, behind, len(behind) - 1))
    assert (len(read.rr), [rr.rtype for rr in read.ar]) == (1, [dnslib.QTYPE.OPT])


@pytest.mark.parametrize(
    "junk", [b"x", bytes(12)[:-1] + b"\1", raw(b7=1) + b"\x50", raw(b7=1) + b"\0\0\1\0\1\0\0\0\0\0\4\1"]
)
def test_of_what_others_answered_and_nobody_can_read_only_the_bit_is_passed_on(junk):
    question = wire.parse(raw())
    assert wire.shortened(question, junk, 0) == wire.cut(question)
