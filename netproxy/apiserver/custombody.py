"""What a request brings for a custom kind: read by the schema of the version that its path names.

Source: kubernetes 1.36 staging/src/k8s.io/apiextensions-apiserver/pkg/apiserver/customresource_handler.go
(unstructuredNegotiatedSerializer, schemaCoercingDecoder).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from netproxy.apiserver.body import (
    PROTOBUF,
    Expected,
    check_size,
    elsewhere,
    given_of,
    media_type,
    strict_error,
    unhandled,
    unread,
    unrecognized,
    value_of,
)
from netproxy.apiserver.request import Request
from netproxy.objects.custom.definition import Version
from netproxy.objects.custom.numbers import plain_numbers
from netproxy.objects.custom.structure import pruned
from netproxy.objects.decoding import DecodingError
from netproxy.objects.gojson import Pairs, plain
from netproxy.objects.meta import Object
from netproxy.registry.options import WriteOptions


def custom_object_of(request: Request, version: Version, options: WriteOptions) -> Object:
    """The object that a request brings; unknown and repeated fields are dropped, told or refused, as OPTIONS say.

    Raises ApiError for what is no such object.
    """
    kind = media_type(request)
    if kind == PROTOBUF:
        raise unread(("application/json", "application/yaml"))
    check_size(request)
    expected = Expected(version.api_version, version.kind)
    value, is_plain, told = value_of(request.body, kind, expected)
    value = {} if value is None else value
    given = given_of(value, expected, request.body)
    whole: Object = plain_numbers(value if is_plain else plain(value))
    _check_version(whole, given, request, version, options)
    try:
        reading = version.read({**whole, **given})
    except DecodingError as error:
        raise unhandled(given, expected, str(error)) from error
    told = (*told, *(() if is_plain else dict.fromkeys(_twice(value, ""))), *reading.told)
    options.tell(told, lambda: unhandled(given, expected, strict_error(told)))
    found: Object = reading.obj
    return found


def _check_version(
    whole: Object, given: Mapping[str, str], request: Request, version: Version, options: WriteOptions
) -> None:  # fmt: skip
    """Raise ApiError for an object that does not say that it is of the version of the path."""
    expected = Expected(version.api_version, version.kind)
    for field, word in (("kind", "Kind"), ("apiVersion", "apiVersion")):
        if not whole.get(field):
            body = request.body.decode(errors="replace")
            raise unrecognized(f"Object '{word}' is missing in '{body}'", expected, request.body)
    if given["apiVersion"] != version.api_version:
        if options.field_validation == "Warn" and given["apiVersion"].rpartition("/")[0] == version.definition.group:
            for path in pruned(whole, {})[1]:
                options.warn(f'unknown field "{path}"')
        raise elsewhere(given, expected)


def _twice(value: Any, path: str) -> Iterator[str]:
    """The fields that are there twice, in the order of the text."""
    if isinstance(value, Pairs):
        seen: set[str] = set()
        for field, item in value:
            here = f"{path}.{field}" if path else field
            if field in seen:
                yield f'duplicate field "{here}"'
            seen.add(field)
            yield from _twice(item, here)
    elif isinstance(value, dict):
        for field, item in value.items():
            yield from _twice(item, f"{path}.{field}" if path else field)
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from _twice(item, f"{path}[{at}]")
