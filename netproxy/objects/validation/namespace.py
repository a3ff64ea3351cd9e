"""What is refused about a Namespace.

Source: kubernetes pkg/apis/core/validation/validation.go (ValidateNamespace and its updates; behaviour).
"""

from __future__ import annotations

from netproxy.objects.meta import Object, is_deleting, spec, status
from netproxy.objects.validation.metadata import NOT_STANDARD, STANDARD_FINALIZERS
from netproxy.objects.validation.names import dns_label, qualified
from netproxy.objects.validation.rules import Found, Meta, Rules
from netproxy.objects.validation.words import Problems, invalid, invalids


def _finalizer(text: str, path: str) -> Problems:
    yield from invalids(path, text, qualified(text))
    if "/" not in text and text not in STANDARD_FINALIZERS:
        yield invalid(path, text, NOT_STANDARD)


def _create(obj: Object, meta: Found) -> Problems:
    yield from meta
    for text in spec(obj).get("finalizers") or ():
        yield from _finalizer(text, "spec.finalizers")


def _update(new: Object, old: Object, meta: Meta) -> Problems:
    yield from _create(new, meta.whole)
    yield from meta.change


def _status(new: Object, old: Object, meta: Meta) -> Problems:
    yield from meta.change
    phase, path = status(new).get("phase") or "", "status.Phase"
    if is_deleting(new) and phase != "Terminating":
        yield invalid(path, phase, "may only be 'Terminating' if `deletionTimestamp` is not empty")
    if not is_deleting(new) and phase != "Active":
        yield invalid(path, phase, "may only be 'Active' if `deletionTimestamp` is empty")


def finalize_problems(new: Object, old: Object, meta: Meta) -> Problems:
    """What is wrong with new finalizers."""
    yield from meta.change
    for index, text in enumerate(spec(new).get("finalizers") or ()):
        yield from _finalizer(text, f"spec.finalizers[{index}]")


RULES = Rules(create=_create, update=_update, status=_status, name=dns_label)
