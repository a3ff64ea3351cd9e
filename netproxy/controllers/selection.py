"""Who picks whom by labels, without a search through everything.

Objects are filed under each of their labels; who selects is filed under one label that it asks for. So a changed Pod finds
its Services, and a Service its Pods, with work in proportion to the answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from netproxy.objects.change import IndexedView
from netproxy.objects.kinds import Resource
from netproxy.objects.meta import Object, labels, name, namespace, spec
from netproxy.objects.selector import Selector, label_selector, matches

_BY_LABELS = ("Service", "ReplicationController")


def terms_of(obj: Object) -> Selector:
    """What an object's `spec.selector` asks for: a Service's and a ReplicationController's are labels, others may have
    expressions."""
    selector = spec(obj).get("selector") or {}
    return label_selector({"matchLabels": selector} if obj["kind"] in _BY_LABELS else selector)


def selected(view: IndexedView, resource: Resource, in_namespace: str, terms: Selector) -> list[Object]:
    """The objects of a namespace that satisfy all terms, sorted by name."""
    words = [f"{in_namespace}/{t.key}={t.exact}" for t in terms if t.exact is not None]
    if words:
        candidates = min((view.having(resource, by_label, word) for word in words), key=len)
    else:
        candidates = view.by_namespace(resource, in_namespace)
    return sorted((obj for obj in candidates if matches(terms, labels(obj))), key=name)


def selecting(view: IndexedView, resource: Resource, obj: Object) -> Iterator[Object]:
    """The objects of a resource whose selector picks OBJ; one without a selector picks nothing."""
    for word in (*by_label(obj), f"{namespace(obj)}/"):
        for item in view.having(resource, by_selector, word):
            if matches(terms_of(item), labels(obj)):
                yield item


def by_label(obj: Object) -> Iterable[str]:
    """Index: each label with its namespace."""
    at = namespace(obj)
    return [f"{at}/{label}={value}" for label, value in labels(obj).items()]


def by_selector(obj: Object) -> Iterable[str]:
    """Index: the first label that is asked for; the namespace alone when the selector has only expressions."""
    terms = terms_of(obj)
    exact = [f"{t.key}={t.exact}" for t in terms if t.exact is not None]
    return [f"{namespace(obj)}/{word}" for word in (exact or [""])[:1]] if terms else ()
