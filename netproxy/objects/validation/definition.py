"""What is refused of a CustomResourceDefinition.

Source: kubernetes 1.36 staging/src/k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go and
pkg/apihelpers/helpers.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from netproxy.core.names import quoted
from netproxy.objects.custom.definition import is_accepted
from netproxy.objects.custom.formats import check_of
from netproxy.objects.meta import Object, annotations_of, metadata, spec, status
from netproxy.objects.validation.metadata import metadata_problems
from netproxy.objects.validation.names import Reasons, dns_1035_label, dns_subdomain
from netproxy.objects.validation.openapischema import internal_form, root_problems
from netproxy.objects.validation.rules import Found, Meta, Rules
from netproxy.objects.validation.structural import within
from netproxy.objects.validation.words import (
    Problems,
    Typed,
    duplicate,
    forbidden,
    invalid,
    required,
    too_many,
    unchanged_typed,
    unsupported,
)

Part = Mapping[str, Any]

APPROVED = "api-approved.kubernetes.io"
"""The annotation that says who allowed a kind in a group of Kubernetes' own."""
_WHERE = "see https://github.com/kubernetes/enhancements/pull/1111"


def is_protected(group: str) -> bool:
    """Whether a group belongs to Kubernetes.

    >>> is_protected("gateway.networking.k8s.io"), is_protected("example.com")
    (True, False)
    """
    return re.search(r"(^|\.)(k8s|kubernetes)\.io$", group) is not None


def approval(said: str) -> tuple[str, str, str]:
    """What an approval is worth: the status, reason and message of a condition."""
    if not said:
        return (
            "False",
            "MissingAnnotation",
            f"protected groups must have approval annotation {quoted(APPROVED)}, {_WHERE}",
        )
    if said.startswith("unapproved"):
        return "False", "UnapprovedAnnotation", f"not approved: {quoted(said)}"
    if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^/?#\s]+", said):
        return "True", "ApprovedAnnotation", f"approved in {said}"
    way_out = 'with either a URL or a reason starting with "unapproved"'
    why = f"protected groups must have approval annotation {quoted(APPROVED)} {way_out}, {_WHERE}"
    return "Unknown", "UnknownAnnotation", why


# --- the whole


def _create(obj: Object, _: Found) -> Problems:
    yield from metadata_problems(metadata(obj), lambda text: _name_reasons(text, obj))
    yield from _spec_problems(obj, None)
    yield from _names(status(obj).get("acceptedNames") or {}, "status.acceptedNames")
    yield from _stored(obj)
    yield from _approval(obj, None)
    yield from _preserves(obj, None)


def _update(new: Object, old: Object, meta: Meta) -> Problems:
    yield from meta.change
    yield from _spec_problems(new, old)
    yield from _fixed(spec(new), spec(old), established=is_accepted(old, "Established"))
    yield from _names(status(new).get("acceptedNames") or {}, "status.acceptedNames")
    yield from _stored(new)
    yield from _approval(new, old)
    yield from _preserves(new, old)


def _status(new: Object, _: Object, meta: Meta) -> Problems:
    yield from meta.change
    yield from _names(status(new).get("acceptedNames") or {}, "status.acceptedNames")


def _name_reasons(text: str, obj: Object) -> Reasons:
    names = spec(obj).get("names") or {}
    wanted = f"{names.get('plural') or ''}.{spec(obj).get('group') or ''}"
    return (*dns_subdomain(text), *(() if text == wanted else ('must be spec.names.plural+"."+spec.group',)))


def _fixed(new: Part, old: Part, *, established: bool) -> Problems:
    if established:
        yield from unchanged_typed("spec.scope", new.get("scope"), old.get("scope"))
        yield from _unchanged_name("kind", new, old)
    if new.get("group") != old.get("group"):
        yield invalid("spec.group", new.get("group"), "field is immutable")
    yield from _unchanged_name("plural", new, old)


def _unchanged_name(field: str, new: Part, old: Part) -> Problems:
    before, after = ((each.get("names") or {}).get(field) for each in (old, new))
    if before != after:
        yield invalid(f"spec.names.{field}", after, "field is immutable")


def _stored(obj: Object) -> Problems:
    stored, path = status(obj).get("storedVersions") or [], "status.storedVersions"
    versions = spec(obj).get("versions") or ()
    if not stored:
        yield invalid(path, status(obj).get("storedVersions"), "must have at least one stored version")
        return
    for version in versions:
        if version.get("storage") and version["name"] not in stored:
            yield invalid(path, stored, f"must have the storage version {version['name']}")
    known = {version["name"] for version in versions}
    for at, each in enumerate(stored):
        if each not in known:
            why = (
                f"missing from spec.versions; {each} was previously a storage version, and must remain in spec.versions until a"
                f" storage migration ensures no data remains persisted in {each} and removes {each} from status.storedVersions"
            )
            yield invalid(f"{path}[{at}]", each, why)


def _approval(new: Object, old: Object | None) -> Problems:
    if not is_protected(spec(new).get("group") or ""):
        return
    said = annotations_of(new).get(APPROVED) or ""
    state, reason, why = approval(said)
    if old is not None and approval(annotations_of(old).get(APPROVED) or "")[1] == reason:
        return
    path = f"metadata.annotations[{APPROVED}]"
    if state == "Unknown":
        yield invalid(path, said, why)
    elif reason == "MissingAnnotation":
        yield required(path, why)


def _preserves(new: Object, old: Object | None) -> Problems:
    if spec(new).get("preserveUnknownFields") and not (old is not None and spec(old).get("preserveUnknownFields")):
        why = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"
        yield invalid("spec.preserveUnknownFields", True, why)


# --- the spec


def _spec_problems(obj: Object, old: Object | None) -> Problems:
    said = spec(obj)
    yield from _group(said.get("group") or "")
    scope = said.get("scope") or ""
    if not scope:
        yield required("spec.scope")
    elif scope not in ("Cluster", "Namespaced"):
        yield unsupported("spec.scope", scope, ("Cluster", "Namespaced"), plain=True)
    versions = said.get("versions") or []
    for at, version in enumerate(versions):
        if (version.get("schema") or {}).get("openAPIV3Schema") is None:
            yield required(f"spec.versions[{at}].schema.openAPIV3Schema")
    common = {field: _common(versions, field) for field in _COMMON}
    for at, version in enumerate(versions):
        yield from _version(version, common, f"spec.versions[{at}]")
    yield from _versions(said, versions, common)
    names = said.get("names") or {}
    for field in ("plural", "singular", "kind", "listKind"):
        if not names.get(field):
            yield required(f"spec.names.{field}")
    yield from _names(names, "spec.names")
    if versions:
        yield from _parts(versions[0], tuple(field for field in _COMMON if common[field]), "spec", is_top=True)
    yield from _conversion(said.get("conversion") or {}, "spec.conversion")


_COMMON = ("schema", "subresources", "additionalPrinterColumns", "selectableFields")
"""What is said once of all versions, where all say the same."""


def _common(versions: Sequence[Part], field: str) -> bool:
    return bool(versions) and all(version.get(field) == versions[0].get(field) for version in versions)


def _group(group: str) -> Problems:
    if not group:
        yield required("spec.group")
    elif wrong := dns_subdomain(group):
        yield invalid("spec.group", group, ",".join(wrong))
    elif "." not in group:
        yield invalid("spec.group", group, "should be a domain with at least one dot")


def _version(version: Part, common: Mapping[str, bool], path: str) -> Problems:
    if wrong := dns_1035_label(version.get("name") or ""):
        yield invalid(f"{path}.name", version.get("name") or "", ",".join(wrong))
    warning = version.get("deprecationWarning")
    for why in _warning_reasons(warning, is_deprecated=bool(version.get("deprecated"))):
        yield invalid(f"{path}.deprecationWarning", Typed(warning), why)
    yield from _parts(version, tuple(field for field in _COMMON if not common[field]), path, is_top=False)


def _warning_reasons(warning: str | None, *, is_deprecated: bool) -> Iterable[str]:
    if warning is None:
        return
    if not is_deprecated:
        yield "can only be set for deprecated versions"
        return
    if len(warning.encode()) > 256:
        yield "must be <= 256 characters long"
    if not warning:
        yield "must not be an empty string"
    for at, char in enumerate(warning):
        if not char.isprintable():
            said = "must only contain printable UTF-8 characters; non-printable character found at index"
            yield f"{said} {len(warning[:at].encode())}"
            return


def _parts(version: Part, fields: Sequence[str], path: str, *, is_top: bool) -> Problems:
    """What is wrong with those parts of a version; at the top, where it is said of all versions, one has another name."""
    schema = (version.get("schema") or {}).get("openAPIV3Schema")
    where = f"{path}.{'validation' if is_top else 'schema'}.openAPIV3Schema"
    parts = version.get("subresources") or {}
    if "schema" in fields and schema is not None:
        yield from root_problems(schema, where, has_status=parts.get("status") is not None)
    if "subresources" in fields and parts.get("scale") is not None:
        yield from _scale(parts["scale"], f"{path}.subresources.scale")
    if "additionalPrinterColumns" in fields:
        for at, column in enumerate(version.get("additionalPrinterColumns") or ()):
            yield from _column(column, f"{path}.additionalPrinterColumns[{at}]")
    if "selectableFields" in fields and version.get("selectableFields"):
        yield from _selectable(version["selectableFields"], schema or {}, f"{path}.selectableFields")


def _versions(said: Part, versions: Sequence[Part], common: Mapping[str, bool]) -> Problems:
    named = [version.get("name") for version in versions]
    shown = [_internal_version(version, common) for version in versions] if said.get("versions") is not None else None
    if len(set(named)) < len(named):
        yield invalid("spec.versions", shown, "must contain unique version names")
    if sum(bool(version.get("storage")) for version in versions) != 1:
        yield invalid("spec.versions", shown, "must have exactly one version marked as storage version")
    if versions and (wrong := dns_1035_label(named[0] or "")):
        yield invalid("spec.version", named[0] or "", ",".join(wrong))


def _internal_version(version: Part, common: Mapping[str, bool]) -> Part:
    schema = None if common["schema"] else (version.get("schema") or {}).get("openAPIV3Schema")
    columns = None if common["additionalPrinterColumns"] else version.get("additionalPrinterColumns")
    fields = None if common["selectableFields"] else version.get("selectableFields")
    return {
        "Name": version.get("name") or "", "Served": bool(version.get("served")), "Storage": bool(version.get("storage")),
        "Deprecated": bool(version.get("deprecated")), "DeprecationWarning": version.get("deprecationWarning"),
        "Schema": None if schema is None else {"OpenAPIV3Schema": internal_form(schema)},
        "Subresources": None if common["subresources"] else _internal_parts(version.get("subresources")),
        "AdditionalPrinterColumns": [_internal_column(each) for each in columns] if columns else None,
        "SelectableFields": [{"JSONPath": each.get("jsonPath") or ""} for each in fields] if fields else None,
    }  # fmt: skip


def _internal_parts(parts: Part | None) -> Part | None:
    if parts is None:
        return None
    scale = parts.get("scale")
    paths = (("SpecReplicasPath", ""), ("StatusReplicasPath", ""), ("LabelSelectorPath", None))
    return {
        "Status": parts.get("status"),
        "Scale": None if scale is None else {own: scale.get(own[0].lower() + own[1:], unset) for own, unset in paths},
    }


def _internal_column(column: Part) -> Part:
    return {
        "Name": column.get("name") or "", "Type": column.get("type") or "", "Format": column.get("format") or "",
        "Description": column.get("description") or "", "Priority": column.get("priority") or 0,
        "JSONPath": column.get("jsonPath") or "",
    }  # fmt: skip


def _names(names: Part, path: str) -> Problems:
    for field in ("plural", "singular", "kind", "listKind"):
        text = names.get(field) or ""
        mixed = field in ("kind", "listKind")
        if text and (wrong := dns_1035_label(text.lower() if mixed else text)):
            said = "may have mixed case, but should otherwise match: " if mixed else ""
            yield invalid(f"{path}.{field}", text, said + ",".join(wrong))
    yield from _words(names, "shortNames", path)
    if names.get("kind") and names["kind"] == names.get("listKind"):
        yield invalid(f"{path}.listKind", names["listKind"], "kind and listKind may not be the same")
    yield from _words(names, "categories", path)


def _words(names: Part, field: str, path: str) -> Problems:
    for at, text in enumerate(names.get(field) or ()):
        if wrong := dns_1035_label(text):
            yield invalid(f"{path}.{field}[{at}]", text, ",".join(wrong))


_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_COLUMN_FORMATS = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")


def _column(column: Part, path: str) -> Problems:
    if not column.get("name"):
        yield required(f"{path}.name")
    kind, why = column.get("type") or "", f"must be one of {','.join(_COLUMN_TYPES)}"
    if not kind:
        yield required(f"{path}.type", why)
    elif kind not in _COLUMN_TYPES:
        yield invalid(f"{path}.type", kind, why)
    form = column.get("format")
    if form and form not in _COLUMN_FORMATS:
        yield invalid(f"{path}.format", form, f"must be one of {','.join(_COLUMN_FORMATS)}")
    if not column.get("jsonPath"):
        yield required(f"{path}.JSONPath")
    else:
        yield from _path(column["jsonPath"], f"{path}.JSONPath")


def _path(text: str, path: str) -> Problems:
    if not text.startswith("."):
        yield invalid(path, text, "must be a simple json path starting with .")


def _scale(scale: Part, path: str) -> Problems:
    for field, below in (("specReplicasPath", ".spec"), ("statusReplicasPath", ".status")):
        text = scale.get(field) or ""
        if not text:
            yield required(f"{path}.{field}")
            continue
        wrong = list(_path(text, f"{path}.{field}"))
        yield from wrong
        if not wrong and not text.startswith(f"{below}."):
            yield invalid(f"{path}.{field}", text, f"should be a json path under {below}")
    text = scale.get("labelSelectorPath") or ""
    if text:
        wrong = list(_path(text, f"{path}.labelSelectorPath"))
        yield from wrong
        if not wrong and not text.startswith((".spec.", ".status.")):
            yield invalid(f"{path}.labelSelectorPath", text, "should be a json path under either .spec or .status")


_MOST_FIELDS = 8


def _selectable(fields: Sequence[Part], schema: Part, path: str) -> Problems:
    seen: set[str] = set()
    for at, field in enumerate(fields):
        text, where = field.get("jsonPath") or "", f"{path}[{at}].jsonPath"
        if not text:
            yield required(where)
            continue
        why, found = _followed(text, schema)
        if found is None:
            yield invalid(where, text, f"is an invalid path: {why}")
            continue
        if text.startswith(".metadata"):
            yield invalid(where, text, "must not point to fields in metadata")
        if found.get("type") not in ("string", "boolean", "integer"):
            told = "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed."
            yield invalid(where, text, told)
        if text in seen:
            yield duplicate(where, text)
        seen.add(text)
    if len(seen) > _MOST_FIELDS:
        yield too_many(path, len(seen), _MOST_FIELDS)


def _followed(text: str, schema: Part) -> tuple[str, Part | None]:
    """The schema of a field that a path names; or why there is none."""
    if not text.startswith("."):
        return f"expected [ or . but got: {re.split(r'[.[]', text)[0]}", None
    here: Part = schema
    for field in text[1:].split("."):
        found = (here.get("properties") or {}).get(field)
        if not isinstance(found, dict):
            return "does not refer to a valid field", None
        here = found
    return "", here


def _conversion(conversion: Part, path: str) -> Problems:
    strategy = conversion.get("strategy") or ""
    if not strategy:
        yield required(f"{path}.strategy")
    elif strategy not in ("None", "Webhook"):
        yield unsupported(f"{path}.strategy", strategy, ("None", "Webhook"), plain=True)
    webhook = conversion.get("webhook") or {}
    client, versions = webhook.get("clientConfig"), webhook.get("conversionReviewVersions") or []
    if strategy != "Webhook":
        why = "should not be set when strategy is not set to Webhook"
        if client is not None:
            yield forbidden(f"{path}.webhookClientConfig", why)
        if versions:
            yield forbidden(f"{path}.conversionReviewVersions", why)
        return
    if client is None:
        yield required(f"{path}.webhookClientConfig", "required when strategy is set to Webhook")
    elif (client.get("url") is None) == (client.get("service") is None):
        yield required(f"{path}.webhookClientConfig", "exactly one of url or service is required")
    yield from _reviews(versions, f"{path}.conversionReviewVersions")


def _reviews(versions: Sequence[str], path: str) -> Problems:
    if not versions:
        yield required(path)
        return
    for at, version in enumerate(versions):
        if version in versions[:at]:
            yield invalid(f"{path}[{at}]", version, "duplicate version")
            continue
        for why in dns_1035_label(version):
            yield invalid(f"{path}[{at}]", version, why)
    if not {"v1", "v1beta1"} & set(versions):
        yield invalid(path, versions, "must include at least one of v1, v1beta1")


# --- warnings


def _warnings(new: Object, old: Object | None) -> Iterable[str]:
    """Formats that nobody checks."""
    known = set(_formats(old)) if old is not None else set()
    return [f"unrecognized format {quoted(form)}" for form in _formats(new) if form not in known]


def _formats(obj: Object) -> list[str]:
    versions = spec(obj).get("versions") or ()
    schemas = [
        schema for version in versions if (schema := (version.get("schema") or {}).get("openAPIV3Schema")) is not None
    ]
    if _common(versions, "schema"):
        schemas = schemas[:1]
    return [form for schema in schemas for form in _unknown_formats(schema)]


def _unknown_formats(schema: Part) -> list[str]:
    form = schema.get("format") or ""
    own = [form] if form and not check_of(form, schema.get("type") or "") else []
    return own + [found for _, each in within(schema) for found in _unknown_formats(each)]


DEFINITION = Rules(_create, _update, _status, is_core=False, warnings=_warnings)
