"""Bodies in protobuf: those that real encoders in Go made are the objects that they made them of, and what is none is refused in Go's words."""

from __future__ import annotations

import json
import struct
from base64 import b64decode
from pathlib import Path

import pytest

from netproxy.apiserver.body import PROTOBUF, expected_of, object_of
from netproxy.apiserver.options import delete_options
from netproxy.apiserver.protobuf import ProtobufError, envelope, message, type_of
from netproxy.apiserver.request import Request
from netproxy.core.errors import ApiError
from netproxy.objects.canonical import canonical
from netproxy.objects.kinds import CONFIG_MAPS, SERVICES, resource_of
from netproxy.registry.options import PLAIN

RECORDED = Path(__file__).parents[1] / "cases" / "protobuf" / "bodies.jsonl"
CASES = [json.loads(line) for line in RECORDED.read_text().splitlines()]
SCHEMA = "apis.apiextensions.v1.JSONSchemaProps"


def posted(body: bytes, path: str = "/api/v1/namespaces/default/configmaps") -> Request:
    """A request that brings a body in protobuf."""
    return Request("POST", path, body=body, content_type=PROTOBUF)


def varint(value: int) -> bytes:
    """A number as it is written."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def long(number: int, value: bytes | str) -> bytes:
    """A field that has a length."""
    raw = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(raw)) + raw


def short(number: int, value: int) -> bytes:
    """A field that is a number."""
    return varint(number << 3) + varint(value)


def body(kind: str, raw: bytes, version: str = "v1") -> bytes:
    """A whole body."""
    return b"k8s\x00" + long(1, long(1, version) + long(2, kind)) + long(2, raw) + long(3, "") + long(4, "")


def what(data: bytes, kind: str = "ConfigMap") -> str:
    """Why a body is refused."""
    with pytest.raises(ApiError) as caught:
        object_of(posted(data), expected_of(CONFIG_MAPS), PLAIN)
    assert caught.value.code == 400
    return str(caught.value)


@pytest.mark.parametrize("case", [pytest.param(case, id=case["of"]) for case in CASES])
def test_what_a_real_encoder_wrote_is_the_object_that_it_wrote(case):
    data = b64decode(case["body"])
    sent = envelope(data)
    read = {
        "apiVersion": sent.api_version,
        "kind": sent.kind,
        **message(sent.raw, type_of(sent.api_version, sent.kind)),
    }
    assert canonical(read) == canonical(case["object"])
    resource = resource_of(read)
    if resource is not None:
        assert object_of(posted(data), expected_of(resource), PLAIN) == read


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "empty data"),
        (b"{}", "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"),
        (b"k8s\x00", "empty body"),
        (b"k8s\x00\x0a\xff", "unexpected EOF"),
        (b"k8s\x00\x04", "proto: Unknown: wiretype end group for non-group"),
        (b"k8s\x00\x00", "proto: Unknown: illegal tag 0 (wire type 0)"),
        (b"k8s\x00\x08\x00", "proto: wrong wireType = 0 for field TypeMeta"),
    ],
)
def test_what_is_no_envelope_is_not_recognized(data, why):
    shown = "{}" if data == b"{}" else data.hex() or "<empty>"
    assert what(data) == f"the object provided is unrecognized (must be of type ConfigMap): {why} ({shown})"


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"\x0a\x05a", "unexpected EOF"),
        (b"\x0a", "unexpected EOF"),
        (b"\x0a" + b"\xff" * 9 + b"\x01", "proto: negative length found during unmarshaling"),
        (b"\x0a" + b"\xff" * 11, "proto: integer overflow"),
        (b"\x08\x01", "proto: wrong wireType = 0 for field ObjectMeta"),
        (b"\x0c", "proto: ConfigMap: wiretype end group for non-group"),
        (b"\x02\x00", "proto: ConfigMap: illegal tag 0 (wire type 2)"),
        (long(1, b"\x14"), "proto: ObjectMeta: wiretype end group for non-group"),
        (long(1, long(8, b"\x0c")), "proto: Timestamp: wiretype end group for non-group"),
        (long(1, long(17, long(7, b"\x0c"))), "proto: FieldsV1: wiretype end group for non-group"),
        (long(9, "x")[:-1], "unexpected EOF"),
        (b"\x49\x00", "unexpected EOF"),
        (b"\x4d\x00\x00", "unexpected EOF"),
        (b"\x4b\x08", "unexpected EOF"),
        (b"\x4f", "proto: illegal wireType 7"),
    ],
)
def test_a_message_that_is_broken_is_refused_in_words_of_go(raw, why):
    assert what(body("ConfigMap", raw)) == f'ConfigMap in version "v1" cannot be handled as a ConfigMap: {why}'


def test_another_kind_is_refused():
    assert what(body("Secret", b"")) == (
        'Secret in version "v1" cannot be handled as a ConfigMap: converting (v1.Secret) to (core.ConfigMap): unknown conversion'
    )
    assert 'no kind "Odd\\x01" is registered for version "v1"' in what(body("Odd\x01", b""))


def test_what_the_envelope_does_not_say_is_as_expected():
    for version, kind in (("", "ConfigMap"), ("v1", ""), ("a/b/c", "ConfigMap")):
        found = object_of(posted(body(kind, b"", version)), expected_of(CONFIG_MAPS), PLAIN)
        assert (found["apiVersion"], found["kind"]) == ("v1", "ConfigMap")


def test_fields_that_nobody_knows_are_passed_over():
    unknown = short(99, 1 << 40) + long(98, "x") + b"\x89\x06" + b"\x00" * 8 + b"\x8d\x06" + b"\x00" * 4
    group = b"\x93\x06" + short(5, 1) + b"\x94\x06"
    entry = long(2, long(1, "a") + long(7, "?") + long(2, "1"))
    assert message(unknown + entry + group, type_of("v1", "ConfigMap")) == {"data": {"a": "1"}}


def test_empty_scalars_say_something_only_where_go_has_a_pointer():
    spec = short(1, 0) + short(5, 0)  # replicas is a pointer, minReadySeconds is none
    assert message(long(2, spec), type_of("apps/v1", "Deployment")) == {"spec": {"replicas": 0}}
    assert message(long(1, long(1, "a") + long(1, "")), type_of("v1", "Pod")) == {"metadata": {}}


def test_structs_that_come_twice_are_one():
    twice = long(1, long(1, "a")) + long(1, long(3, "b"))
    assert message(twice, type_of("v1", "Pod")) == {"metadata": {"name": "a", "namespace": "b"}}


def test_numbers_are_signed_and_lists_of_them_may_be_packed():
    assert message(short(1, (1 << 64) - 5), "apis.meta.v1.DeleteOptions") == {"gracePeriodSeconds": -5}
    port = short(3, (1 << 64) - 1)
    assert message(port, "core.v1.ServicePort") == {"port": -1}
    groups = short(4, 1) + long(4, varint(2) + varint(3))
    assert message(groups, "core.v1.PodSecurityContext") == {"supplementalGroups": [1, 2, 3]}
    with pytest.raises(ProtobufError, match="unexpected EOF"):
        message(long(4, b"\x80"), "core.v1.PodSecurityContext")


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"", None),
        (short(1, 0), "1970-01-01T00:00:00Z"),
        (short(1, 1_800_000_000) + short(2, 999_999_999), "2027-01-15T08:00:00Z"),
        (short(1, (1 << 64) - 62_135_596_799), "0001-01-01T00:00:01Z"),
    ],
)
def test_times(raw, value):
    found = message(long(9, raw), "apis.meta.v1.ObjectMeta")
    assert found == {"deletionTimestamp": value}


def test_times_of_leases_have_microseconds():
    spec = long(4, short(1, 1_800_000_000) + short(2, 123_456_789))
    assert message(spec, "coordination.v1.LeaseSpec") == {"renewTime": "2027-01-15T08:00:00.123456Z"}
    assert message(long(4, b""), "coordination.v1.LeaseSpec") == {"renewTime": None}


def test_a_time_beyond_the_year_9999_is_refused():
    with pytest.raises(ProtobufError, match=r"year outside of range \[0,9999\]"):
        message(long(9, short(1, 1 << 50)), "apis.meta.v1.ObjectMeta")


def test_an_int_or_string_is_one_of_them():
    number, name = short(1, 0) + short(2, 80), short(1, 1) + short(2, 0) + long(3, "web")
    assert message(long(4, number), "core.v1.ServicePort") == {"targetPort": 80}
    assert message(long(4, name), "core.v1.ServicePort") == {"targetPort": "web"}


def test_entries_of_maps_may_lack_their_key_or_their_value():
    assert message(long(1, b""), "core.v1.ResourceRequirements") == {"limits": {"": "0"}}
    assert message(long(2, long(1, "a")), type_of("v1", "ConfigMap")) == {"data": {"a": ""}}
    assert message(long(4, long(1, "a")), "authentication.v1.UserInfo") == {"extra": {"a": []}}
    assert message(long(29, long(1, "a")), SCHEMA) == {"properties": {"a": {}}}
    extra = long(1, "a") + long(2, long(1, "x") + long(1, "y"))
    assert message(long(4, extra), "authentication.v1.UserInfo") == {"extra": {"a": ["x", "y"]}}


def test_json_inside_that_is_none_says_nothing():
    entry = long(1, "m") + long(7, long(1, "{"))
    assert message(entry, "apis.meta.v1.ManagedFieldsEntry") == {"manager": "m", "fieldsV1": None}


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (long(24, long(1, long(5, "string"))), {"items": {"type": "string"}}),
        (long(24, long(2, long(5, "a")) + long(2, long(5, "b"))), {"items": [{"type": "a"}, {"type": "b"}]}),
        (long(30, short(1, 0)), {"additionalProperties": False}),
        (long(30, short(1, 1) + long(2, long(5, "a"))), {"additionalProperties": {"type": "a"}}),
        (long(32, long(1, "a") + long(2, long(2, "b"))), {"dependencies": {"a": ["b"]}}),
        (varint(9 << 3 | 1) + struct.pack("<d", 0.5), {"maximum": 0.5}),
    ],
)
def test_schemas_of_custom_resources(raw, value):
    assert message(raw, SCHEMA) == value


def test_a_number_that_ends_early_is_refused():
    with pytest.raises(ProtobufError, match="unexpected EOF"):
        message(varint(9 << 3 | 1) + b"\x00", SCHEMA)


def test_schemas_nest_only_so_deep():
    nested = b""
    for _ in range(200):
        nested = long(28, nested)
    with pytest.raises(ProtobufError, match="exceeded maximum recursion depth"):
        message(nested, SCHEMA)


def test_options_of_a_deletion():
    request = Request("DELETE", "/", body=body("DeleteOptions", short(1, 0) + long(4, "Orphan")), content_type=PROTOBUF)
    options, _ = delete_options(request)
    assert (options.grace_s, options.propagation) == (0, "Orphan")
    for data in (body("ConfigMap", b""), b"{}", body("DeleteOptions", b"\x0c")):
        with pytest.raises(ApiError):
            delete_options(Request("DELETE", "/", body=data, content_type=PROTOBUF))


def test_a_service_is_made_of_one():
    raw = long(1, long(1, "web")) + long(2, long(1, short(3, 80)))
    found = object_of(posted(body("Service", raw)), expected_of(SERVICES), PLAIN)
    assert found["spec"] == {"ports": [{"port": 80}]}
