"""Which fields a list can be picked by, and the other options of a list that may be unreadable, in the API server's words.

Source: kubernetes apimachinery pkg/fields/selector.go, pkg/runtime/conversion.go, pkg/apis/*/v1/conversion.go;
apiserver pkg/storage/continue.go.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping

import orjson

from netproxy.apiserver.status import bad_request
from netproxy.core.errors import ApiError, ExpiredError
from netproxy.objects.kinds import EVENTS, EVENTS_V1, NAMESPACES, NODES, PODS, SERVICES, Resource

_NAME, _SPACE = "metadata.name", "metadata.namespace"
_EVENT_PARTS = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
FIELDS: Mapping[Resource, frozenset[str]] = {
    PODS: frozenset((
        _NAME, _SPACE, "spec.nodeName", "spec.host", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName",
        "spec.hostNetwork", "status.phase", "status.podIP", "status.podIPs", "status.nominatedNodeName",
    )),
    NODES: frozenset((_NAME, "spec.unschedulable")),
    NAMESPACES: frozenset((_NAME, "status.phase")),
    SERVICES: frozenset((_NAME, _SPACE, "spec.clusterIP", "spec.type")),
    EVENTS: frozenset((
        _NAME, _SPACE, "reason", "reportingComponent", "source", "type", *(f"involvedObject.{part}" for part in _EVENT_PARTS),
    )),
    EVENTS_V1: frozenset((
        _NAME, _SPACE, "reason", "reportingController", "type", *(f"regarding.{part}" for part in _EVENT_PARTS),
    )),
}  # fmt: skip
"""The fields of the kinds that have others than name and namespace."""

_TERM = re.compile(r"(.*?)(!=|==|=)(.*)", re.DOTALL)
_INT64 = 1 << 63


def check_fields(resource: Resource, selector: str) -> None:
    """Raise ApiError (400) when a field selector cannot be read, or asks for a field that objects are not picked by."""
    for term in _terms(selector):
        found = _TERM.fullmatch(term)
        if found is None:
            raise bad_request(f"invalid selector: '{selector}'; can't understand '{term}'")
        _check_value(found[3])
        _check_label(resource, found[1])


def _terms(selector: str) -> Iterator[str]:
    """The parts between commas that are not escaped, sorted as the API server does."""
    return filter(None, sorted(re.findall(r"(?:\\.|[^,\\]|\\$)+", selector, re.DOTALL)))


def _check_value(value: str) -> None:
    for sequence, char in re.findall(r"(\\.?)|(=)", value, re.DOTALL):
        if char:
            raise bad_request(f"invalid field selector: unescaped character in value: {ord(char)}")
        if sequence not in (r"\\", r"\,", r"\="):
            raise bad_request(f"invalid field selector: invalid escape sequence: {sequence}")


def _check_label(resource: Resource, label: str) -> None:
    known = FIELDS.get(resource)
    if known is None and label not in (_NAME, _SPACE):
        raise bad_request(f'"{label}" is not a known field selector: only "{_NAME}", "{_SPACE}"')
    if known is not None and label not in known:
        raise bad_request(f"field label not supported: {label}")


def integer(text: str) -> int:
    """A number in a query. Raises ApiError (400) for what is none.

    >>> integer("-5"), integer("+5")
    (-5, 5)
    """
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    value = int(text[:25])
    if not -_INT64 <= value < _INT64:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": value out of range')
    return value


def check_continue(token: str) -> None:
    """Raise ApiError for any token: 400 when it is none; one that was handed out elsewhere has expired, lists here are whole."""
    try:
        found = _decoded(token)
    except ValueError as error:
        raise _no_token(f": {error}") from error
    if not isinstance(found, dict) or found.get("v") != "meta.k8s.io/v1":
        version = found.get("v", "") if isinstance(found, dict) else ""
        raise _no_token(f": server does not recognize this encoded version {version}")
    if not found.get("rv"):
        raise _no_token(": incorrect encoded start resourceVersion (version meta.k8s.io/v1)")
    if not found.get("start"):
        raise _no_token(": encoded start key empty (version meta.k8s.io/v1)")
    raise ExpiredError(
        "The provided continue parameter is too old to display a consistent list result. "
        "You must start a new list without the continue parameter."
    )


def _no_token(why: str) -> ApiError:
    return bad_request(f"invalid continue token: continue key is not valid{why}")


def _decoded(token: str) -> object:
    wrong = re.search(r"[^A-Za-z0-9_-]", token)
    if wrong or len(token) % 4 == 1:
        raise ValueError(f"illegal base64 data at input byte {wrong.start() if wrong else len(token) - 1}")
    try:
        text = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"it is not JSON: {error}") from error
