"""Server-side apply: a configuration merged into an object; what its manager no longer applies is pruned; conflicts.

Source: sigs.k8s.io/structured-merge-diff v6 merge/update.go (Apply), typed/merge.go, typed/remove.go; kubernetes 1.36
staging/src/k8s.io/apimachinery/pkg/util/managedfields/internal (lastappliedmanager.go, lastappliedupdater.go, conflict.go).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from netproxy.core.errors import ApiError
from netproxy.objects.meta import Object, annotations_of, metadata
from netproxy.objects.schema import root_of
from netproxy.registry.fieldset import (
    FieldSet,
    compare,
    difference,
    intersection,
    leaves_of,
    named,
    outside,
    paths,
    union,
)
from netproxy.registry.gotext import go_quoted
from netproxy.registry.managed import (
    Entries,
    Entry,
    Kind,
    UntypedError,
    Write,
    changes,
    entry_of,
    identity,
    in_other_version,
    order,
    stored,
    updated,
)
from netproxy.registry.merging import merged, without
from netproxy.registry.options import WriteOptions
from netproxy.registry.restored import fault
from netproxy.registry.shape import Shape
from netproxy.registry.typed import type_error

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
MOST_ANNOTATION_BYTES = 256 * 1024
BEFORE = "before-first-apply"
"""Who manages the fields of an object that nobody was noted for, when it is first applied to."""
_OURS: FieldSet = {
    "f:apiVersion": {}, "f:kind": {},
    "f:metadata": {
        ".": {}, "f:clusterName": {}, "f:creationTimestamp": {}, "f:generation": {}, "f:managedFields": {}, "f:name": {},
        "f:namespace": {}, "f:resourceVersion": {}, "f:selfLink": {}, "f:uid": {},
    },
}  # fmt: skip
"""What nobody manages."""


class ApplyConflictError(ApiError):
    """Others manage fields that the configuration would change."""

    def __init__(self, conflicts: list[tuple[Entry, list[str]]]) -> None:
        self.conflicts = conflicts
        causes = [
            {"reason": "FieldManagerConflict", "message": f"conflict with {_who(entry)}", "field": path}
            for entry, found in conflicts
            for path in found
        ]
        super().__init__(409, "Conflict", _conflict_text(conflicts, len(causes)))
        self.with_details(causes=causes)

    def besides(self, allowed: set[str]) -> list[tuple[Entry, list[str]]]:
        """The conflicts about other paths."""
        left = [(entry, [path for path in found if path not in allowed]) for entry, found in self.conflicts]
        return [(entry, found) for entry, found in left if found]


def _conflict_text(conflicts: list[tuple[Entry, list[str]]], count: int) -> str:
    if count == 1:
        entry, found = conflicts[0]
        return f"Apply failed with 1 conflict: conflict with {_who(entry)}: {found[0]}"
    lines = []
    for entry, found in conflicts:
        lines += [f"conflicts with {_who(entry)}:", *(f"- {path}" for path in found)]
    return f"Apply failed with {count} conflicts: " + "\n".join(lines)


def _who(entry: Entry) -> str:
    text = go_quoted(entry.get("manager", ""))
    if entry.get("subresource"):
        text += f" with subresource {go_quoted(entry['subresource'])}"
    return f"{text} using {entry['apiVersion']}" if entry["operation"] == "Update" else text


def check_config(config: Any, api_version: str, kind: str, shape: Shape) -> None:
    """Raise ApiError when what is to be applied is no configuration of the kind."""
    given = config if isinstance(config, dict) else {}
    said, what = _text(given.get("apiVersion")), _text(given.get("kind"))
    if (said, what) != (api_version, kind):
        raise ApiError(400, "BadRequest", f"invalid object type: {_gvk(said, what)}")
    if metadata(given).get("managedFields") is not None:
        raise ApiError(400, "BadRequest", "metadata.managedFields must be nil")
    wrong = type_error(given, shape)
    if wrong:
        meta = metadata(given)
        whose = f"{meta.get('namespace') or ''}/{meta.get('name') or ''}; {_gvk(said, what)}"
        raise ApiError(500, "", f"failed to create typed patch object ({whose}): {wrong}")


def check_result(obj: Object, config: Object) -> None:
    """Raise ApiError when what was merged is no object of its kind, though the parts have the right types."""
    wrong = fault(obj, root_of(obj))
    if wrong:
        said, meta = _gvk(obj["apiVersion"], obj["kind"]), metadata(config)
        whose = f"{meta.get('namespace') or ''}/{meta.get('name') or ''}; {said}"
        why = f"to proper version: unable to convert unstructured object to {said}: {wrong}"
        raise ApiError(500, "", f"failed to convert new object ({whose}) {why}")


def tell(told: tuple[str, ...], options: WriteOptions) -> None:
    """Tell what was wrong with the text of a configuration. Raises ApiError when it must not be overlooked."""

    def refusal() -> ApiError:
        listed = "".join(f"\n  {text}" for text in told)
        why = f"error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:{listed}"
        return ApiError(400, "BadRequest", why)

    options.tell(told, refusal)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _gvk(api_version: str, kind: str) -> str:
    group = api_version if "/" in api_version else f"/{api_version}" if api_version else "/"
    return f"{group}, Kind={kind}"


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of an object, in the version that was applied, and who manages its fields now."""

    obj: Object
    entries: Entries


def applied(live: Object, config: Object, write: Write, kind: Kind, *, force: bool) -> Applied:
    """The object after a configuration was applied to it; LIVE is the empty one of its kind when there was none.

    Both are of the version that WRITE names. Raises ApplyConflictError.
    """
    try:
        result = _applied(live, config, write, kind, force=force)
    except UntypedError as error:
        raise ApiError(500, "", str(error)) from error
    except ApplyConflictError as error:
        if write.manager != "kubectl":
            raise
        result = _after_client_side(live, config, write, kind, error)
    if write.manager == "kubectl" and annotations_of(result.obj).get(LAST_APPLIED):
        return Applied(_with_last_applied(result.obj, config), result.entries)
    return result


def _applied(live: Object, config: Object, write: Write, kind: Kind, *, force: bool) -> Applied:
    entries = stored(live) or updated(
        None, live, Write(BEFORE, write.api_version, write.now, write.subresource, write.reset), kind
    )
    entries = [entry for entry in entries if kind.in_version(live, entry["apiVersion"]) is not None]
    shape = kind.shape(write.api_version)
    own = outside(leaves_of(config, shape), write.reset)
    mine = entry_of(write, "Apply", own)
    last = next((entry for entry in entries if identity(entry) == identity(mine)), None)
    others = [entry for entry in entries if entry is not last]
    new = merged(live, config, shape)
    if last is not None:
        new = _pruned(new, last, [*others, mine], write, kind)
    left = _others(live, new, others, write, kind, force=force)
    if new == live:
        mine.pop("time")
        if last is not None and "time" in last:
            mine["time"] = last["time"]
    mine["fieldsV1"] = difference(own, _OURS)
    return Applied(new, sorted([*left, mine] if mine["fieldsV1"] else left, key=order))


def _others(live: Object, new: Object, others: Entries, write: Write, kind: Kind, *, force: bool) -> Entries:
    """What the other managers have left. Raises ApplyConflictError."""
    seen = {write.api_version: changes(live, new, kind.shape(write.api_version), write.reset)}
    conflicts: list[tuple[Entry, list[str]]] = []
    left: Entries = []
    for entry in others:
        version = entry["apiVersion"]
        if version not in seen:
            seen[version] = in_other_version(live, new, version, write, kind)
        changed, removed = seen[version]
        both = intersection(entry["fieldsV1"], changed)
        if both:
            conflicts.append((entry, paths(both)))
        fields = difference(difference(entry["fieldsV1"], both), removed)
        if fields:
            left.append({**entry, "fieldsV1": fields})
    if conflicts and not force:
        raise ApplyConflictError(sorted(conflicts, key=lambda found: _name_order(found[0])))
    return left


def _name_order(entry: Entry) -> str:
    """Managers are named in the order of what tells them apart, as text."""
    told = {field: entry.get(field) for field in ("manager", "operation")}
    if entry["operation"] == "Update":
        told["apiVersion"] = entry["apiVersion"]
    if entry.get("subresource"):
        told["subresource"] = entry["subresource"]
    return orjson.dumps(told).decode()


# --- what is no longer applied goes


def _pruned(new: Object, last: Entry, managers: Iterable[Entry], write: Write, kind: Kind) -> Object:
    """The merged object without what its manager applied last time, and not now, and nobody else claims."""
    version = last["apiVersion"]
    whole = kind.in_version(new, version) or new
    shape = kind.shape(version)
    before = named(last["fieldsV1"], shape)
    rest = without(whole, before, shape)
    claims: dict[str, FieldSet] = {}
    for entry in managers:
        claims[entry["apiVersion"]] = union(claims.get(entry["apiVersion"], {}), entry["fieldsV1"])
    for claimed in sorted(claims, key=lambda other: other != version):
        whole, rest = _claimed_back(whole, rest, claimed, claims[claimed], kind)
    whole, rest = kind.in_version(whole, version) or whole, kind.in_version(rest, version) or rest
    gone = difference(named(leaves_of(whole, shape), shape), named(leaves_of(rest, shape), shape))
    result = without(whole, intersection(gone, before), shape)
    return kind.in_version(result, write.api_version) or result


def _claimed_back(whole: Object, rest: Object, version: str, claims: FieldSet, kind: Kind) -> tuple[Object, Object]:
    """What others claim is put back; both objects are of that version then."""
    seen, left = kind.in_version(whole, version) or whole, kind.in_version(rest, version) or rest
    shape = kind.shape(version)
    kept = union(named(leaves_of(left, shape), shape), named(claims, shape))
    return seen, without(seen, difference(named(leaves_of(seen, shape), shape), kept), shape)


# --- what kubectl noted when it applied on its side


def _after_client_side(live: Object, config: Object, write: Write, kind: Kind, error: ApplyConflictError) -> Applied:
    """Applied by force, when all conflicts are about what kubectl itself applied before. Raises the conflicts else."""
    allowed = _as_last_applied(live, write.api_version, kind.shape(write.api_version))
    if allowed is None:
        raise error
    left = error.besides(set(paths(allowed)))
    if left:
        raise ApplyConflictError(left) from error
    return _applied(live, config, write, kind, force=True)


def _as_last_applied(live: Object, api_version: str, shape: Shape) -> FieldSet | None:
    """The fields that kubectl noted and that are still so; None when it noted nothing that can be read."""
    try:
        noted = orjson.loads(annotations_of(live).get(LAST_APPLIED) or "null")
    except orjson.JSONDecodeError:
        return None
    if not isinstance(noted, dict) or noted.get("apiVersion") != api_version or type_error(noted, shape):
        return None
    changed, removed = compare(noted, live, shape)
    return difference(difference(leaves_of(noted, shape), changed), removed)


def _with_last_applied(obj: Object, config: Object) -> Object:
    """The object with the note that kubectl's own apply would leave; without any when it were too long."""
    meta = dict(metadata(config))
    if "annotations" in meta:
        meta["annotations"] = {key: value for key, value in annotations_of(config).items() if key != LAST_APPLIED}
    text = orjson.dumps({**config, "metadata": meta}, option=orjson.OPT_SORT_KEYS).decode()
    for char, escaped in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        text = text.replace(char, escaped)
    notes: Mapping[str, str] = {**annotations_of(obj), LAST_APPLIED: text + "\n"}
    if sum(len(key.encode()) + len(value.encode()) for key, value in notes.items()) > MOST_ANNOTATION_BYTES:
        notes = {key: value for key, value in notes.items() if key != LAST_APPLIED}
    return {**obj, "metadata": {**metadata(obj), "annotations": notes}}
