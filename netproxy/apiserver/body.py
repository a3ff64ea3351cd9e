"""What a request brings, as an object of the kind that is expected: its media type, its JSON or YAML, its group and version, its fields.

Source: kubernetes apiserver pkg/endpoints/handlers/rest.go and create.go; apimachinery pkg/runtime/serializer/json.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from netproxy.apiserver.request import Request
from netproxy.apiserver.status import bad_request
from netproxy.core.errors import ApiError
from netproxy.core.names import quoted
from netproxy.objects.decoding import DecodingError, read, word
from netproxy.objects.gojson import SyntaxFaultError, numerals, parsed, plain
from netproxy.objects.kinds import Resource
from netproxy.objects.meta import Object
from netproxy.objects.schema import root_of
from netproxy.registry.options import WriteOptions

JSON, YAML, PROTOBUF = "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"
MEDIA_TYPES = (JSON, YAML, PROTOBUF)
MOST_BYTES = 3 << 20
_SUMMARY = 30
_SCHEME = 'in scheme "pkg/api/legacyscheme/scheme.go:30"'
_TYPE_META = 'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'  # as Go prints it
_PACKAGES: Mapping[str, str] = {
    "": "core", "events.k8s.io": "core", "rbac.authorization.k8s.io": "rbac", "apiextensions.k8s.io": "apiextensions",
    "networking.k8s.io": "networking", "discovery.k8s.io": "discovery", "storage.k8s.io": "storage",
    "scheduling.k8s.io": "scheduling", "coordination.k8s.io": "coordination", "authentication.k8s.io": "authentication",
    "authorization.k8s.io": "authorization",
}  # fmt: skip
"""The Go packages of the internal types, by group."""


@dataclass(frozen=True, slots=True)
class Expected:
    """The kind of object that a request should bring."""

    api_version: str
    kind: str
    also: tuple[str, ...] = ()
    """Older versions that say the same."""

    @property
    def meta(self) -> dict[str, str]:
        """Its apiVersion and kind as fields."""
        return {"apiVersion": self.api_version, "kind": self.kind}


SCALE = Expected("autoscaling/v1", "Scale")
BINDING = Expected("v1", "Binding")
EVICTION = Expected("policy/v1", "Eviction", ("policy/v1beta1",))
TOKEN_REQUEST = Expected("authentication.k8s.io/v1", "TokenRequest")


def expected_of(resource: Resource) -> Expected:
    """What is expected where objects of a resource are written."""
    return Expected(resource.api_version, resource.kind)


_OLD: Mapping[str, tuple[str, ...]] = {
    "apps/v1/Deployment": ("extensions/v1beta1", "apps/v1beta1", "apps/v1beta2"),
    "apps/v1/DaemonSet": ("extensions/v1beta1", "apps/v1beta2"), "apps/v1/ReplicaSet": ("extensions/v1beta1", "apps/v1beta2"),
    "apps/v1/StatefulSet": ("apps/v1beta1", "apps/v1beta2"), "apps/v1/ControllerRevision": ("apps/v1beta1", "apps/v1beta2"),
    "batch/v1/CronJob": ("batch/v1beta1",), "coordination.k8s.io/v1/Lease": ("coordination.k8s.io/v1beta1",),
    "discovery.k8s.io/v1/EndpointSlice": ("discovery.k8s.io/v1beta1",), "events.k8s.io/v1/Event": ("v1", "events.k8s.io/v1beta1"),
    "networking.k8s.io/v1/Ingress": ("extensions/v1beta1", "networking.k8s.io/v1beta1"),
    "networking.k8s.io/v1/IngressClass": ("networking.k8s.io/v1beta1",),
    "networking.k8s.io/v1/NetworkPolicy": ("extensions/v1beta1",),
    "networking.k8s.io/v1/IPAddress": ("networking.k8s.io/v1beta1",), "networking.k8s.io/v1/ServiceCIDR": ("networking.k8s.io/v1beta1",),
    "policy/v1/PodDisruptionBudget": ("policy/v1beta1",), "v1/Event": ("events.k8s.io/v1", "events.k8s.io/v1beta1"),
    "autoscaling/v2/HorizontalPodAutoscaler": ("autoscaling/v1", "autoscaling/v2beta1", "autoscaling/v2beta2"),
    "autoscaling/v1/HorizontalPodAutoscaler": ("autoscaling/v2", "autoscaling/v2beta1", "autoscaling/v2beta2"),
    **{f"rbac.authorization.k8s.io/v1/{kind}": ("rbac.authorization.k8s.io/v1alpha1", "rbac.authorization.k8s.io/v1beta1")
       for kind in ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")},
    "scheduling.k8s.io/v1/PriorityClass": ("scheduling.k8s.io/v1alpha1", "scheduling.k8s.io/v1beta1"),
    "storage.k8s.io/v1/StorageClass": ("storage.k8s.io/v1beta1",),
}  # fmt: skip
"""Versions that the API server still reads (or serves beside this one), and refuses here."""


def media_type(request: Request) -> str:
    """The media type of a request's body. Raises ApiError (415) for one that is not read."""
    found = request.content_type.partition(";")[0].strip().lower() or JSON
    if found not in MEDIA_TYPES:
        raise unread(MEDIA_TYPES)
    return found


def unread(accepted: Iterable[str]) -> ApiError:
    """The refusal of a body of another media type than those that are ACCEPTED."""
    said = "the body of the request was in an unknown format - accepted media types include: "
    return ApiError(415, "UnsupportedMediaType", said + ", ".join(accepted))


def check_size(request: Request) -> None:
    """Raise ApiError (413) for a body that is too large."""
    if len(request.body) > MOST_BYTES:
        raise ApiError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {MOST_BYTES}")


def object_of(request: Request, expected: Expected, options: WriteOptions) -> Object:
    """The object that a request brings; unknown and repeated fields are dropped, told or refused, as OPTIONS say.

    Raises ApiError for what is no such object.
    """
    kind = media_type(request)
    check_size(request)
    if kind == PROTOBUF:
        return _from_protobuf(request.body, expected)
    value, is_plain, told = value_of(request.body, kind, expected)
    value = {} if value is None else value
    given = _as_expected(given_of(value, expected, request.body), expected)
    of = root_of(given)
    if not of:
        raise unhandled(given, expected, _unregistered(given))
    try:
        reading = read(value, of, is_plain=is_plain)
    except DecodingError as error:
        raise unhandled(given, expected, _retold(error, request.body, of) if kind == JSON else str(error)) from error
    _check_kind(given, expected)
    first = ("\n  ".join(("yaml: unmarshal errors:", *told)),) if told else ()
    options.tell((*told, *reading.told), lambda: unhandled(given, expected, strict_error((*first, *reading.told))))
    return {**reading.obj, **given}


def _retold(error: DecodingError, body: bytes, of: str) -> str:
    """What is wrong with a body, with numbers as they are written in it."""
    if "unmarshal number" in str(error):
        try:
            read(numerals(body), of, is_plain=False)
        except DecodingError as again:
            return str(again)
    return str(error)


def _from_protobuf(body: bytes, expected: Expected) -> Object:
    """The object of a body in protobuf; there is nothing in it that nobody knows."""
    from netproxy.apiserver.protobuf import ProtobufError, envelope, message, type_of  # few send it

    try:
        sent = envelope(body)
    except ProtobufError as error:
        raise unrecognized(str(error), expected, body) from error
    said = {"apiVersion": sent.api_version or expected.api_version, "kind": sent.kind or expected.kind}
    given = _as_expected(said, expected)
    of = type_of(given["apiVersion"], given["kind"])
    if not of:
        raise unhandled(given, expected, _unregistered(given))
    try:
        obj = message(sent.raw, of)
    except ProtobufError as error:
        raise unhandled(given, expected, str(error)) from error
    _check_kind(given, expected)
    return {**given, **obj}


def _as_expected(given: dict[str, str], expected: Expected) -> dict[str, str]:
    """What is given, in the version that is expected where it says the same. Raises ApiError for one of another place."""
    if given["apiVersion"] in _OLD.get(f"{expected.api_version}/{given['kind']}", ()):
        raise elsewhere(given, expected)
    return {**given, "apiVersion": expected.api_version} if given["apiVersion"] in expected.also else given


def strict_error(told: tuple[str, ...]) -> str:
    """How a strict reader refuses.

    >>> strict_error(('unknown field "x"', 'unknown field "y"'))
    'strict decoding error: unknown field "x", unknown field "y"'
    """
    return f"strict decoding error: {', '.join(told)}"


def value_of(body: bytes, kind: str, expected: Expected) -> tuple[Any, bool, tuple[str, ...]]:
    """The value of a body, whether it is plain, and what was wrong with the text that can be overlooked."""
    if kind == YAML:
        from netproxy.apiserver.yamlbody import yaml_value  # few send it

        try:
            value, told = yaml_value(body)
        except ValueError as error:
            raise unrecognized(str(error), expected, body) from error
        return value, True, told
    try:
        return *parsed(body), ()
    except SyntaxFaultError as error:
        raise unrecognized(f"couldn't get version/kind; json parse error: {error}", expected, body) from error


def given_of(value: Any, expected: Expected, body: bytes) -> dict[str, str]:
    """The apiVersion and kind of a value; what is not said is as expected."""
    if word(value) != "object":
        why = f"json: cannot unmarshal {word(value)} into Go value of type {_TYPE_META}"
        raise unrecognized(f"couldn't get version/kind; json parse error: {why}", expected, body)
    top = plain(value) if not isinstance(value, dict) else value
    said = {}
    for field in ("apiVersion", "kind"):
        said[field] = "" if top.get(field) is None else top[field]
        if not isinstance(said[field], str):
            why = f"json: cannot unmarshal {word(said[field])} into Go struct field .{field} of type string"
            raise unrecognized(f"couldn't get version/kind; json parse error: {why}", expected, body)
    if said["apiVersion"].count("/") > 1:
        raise unrecognized(f"unexpected GroupVersion string: {said['apiVersion']}", expected, body)
    return {
        field: said[field] or getattr(expected, "api_version" if field == "apiVersion" else "kind") for field in said
    }


def _check_kind(given: Mapping[str, str], expected: Expected) -> None:
    """Raise ApiError for an object of another kind."""
    if given == expected.meta:
        return
    raise unhandled(given, expected, "")


def elsewhere(given: Mapping[str, str], expected: Expected) -> ApiError:
    """The same kind, in a version that is not the one of the path."""
    said, here = given["apiVersion"], expected.api_version
    return bad_request(f"the API version in the data ({said}) does not match the expected API version ({here})")


def _package(group: str) -> str:
    return _PACKAGES.get(group, group)


_OF_NO_GROUP = frozenset(("Status", "APIVersions", "APIGroupList", "APIGroup", "APIResourceList"))
"""Kinds that v1 has and no resource."""


def _unregistered(given: Mapping[str, str]) -> str:
    version, kind = given["apiVersion"], given["kind"]
    if version == "v1" and kind in _OF_NO_GROUP:
        return ""
    if kind.endswith("List") and root_of({"apiVersion": version, "kind": kind.removesuffix("List")}):
        return ""
    return f"no kind {quoted(kind)} is registered for version {quoted(version)} {_SCHEME}"


def unhandled(given: Mapping[str, str], expected: Expected, why: str) -> ApiError:
    version, kind = given["apiVersion"].rpartition("/")[2], given["kind"]
    if not why:  # it has a type, and is not what is expected
        own = _package(expected.api_version.rpartition("/")[0])
        why = f"converting ({version}.{kind}) to ({own}.{expected.kind}): unknown conversion"
    return bad_request(f'{kind} in version "{version}" cannot be handled as a {expected.kind}: {why}')


def unrecognized(why: str, expected: Expected, body: bytes) -> ApiError:
    return bad_request(
        f"the object provided is unrecognized (must be of type {expected.kind}): {why} ({_summary(body)})"
    )


def _summary(body: bytes) -> str:
    """The beginning of a body: as it is when it looks like JSON, else in hexadecimal digits."""
    if not body:
        return "<empty>"
    shown = body[:_SUMMARY]
    text = shown.decode(errors="replace") if body[:1] == b"{" else shown.hex()
    return text + " ..." if len(body) > _SUMMARY else text
