"""The items of lists in a strategic merge patch: which are the same, of which type they are, in which order they come.

Source: kubernetes 1.36 staging/src/k8s.io/apimachinery/pkg/util/strategicpatch/patch.go.
"""

from __future__ import annotations

from typing import Any

from netproxy.core.errors import ApiError
from netproxy.registry.gotext import failed, go_text, go_type

BAD_ORDER = "invalid patch format of setElementOrder list"


def index_of(items: list[Any], item: Any, key: str) -> int:
    """Where an item is among others, by its key; -1 when it is not."""
    wanted = item.get(key) if key else item
    return next((at for at, known in enumerate(items) if (known.get(key) if key else known) == wanted), -1)


def common_type(*lists: list[Any]) -> type:
    """The type of all items. Raises ApiError when there is none."""
    types = [type(item) for items in lists for item in items]
    if types and types[0] is list:
        why = "the server rejected our request due to an error in our request"
        raise ApiError(422, "Invalid", why).with_details()
    if len(set(types)) != 1:
        raise failed(f"list element types are not identical: {go_text(list(lists))}")
    return types[0]


def check_order(given: list[Any], order: list[Any], key: str) -> None:
    """Raise ApiError when the items of a patch do not come in the order that it wants itself."""
    if not given or not order:
        return
    left = [item for item in given if not (isinstance(item, dict) and "$patch" in item)]
    for wanted in order:
        if left and _is_same(left[0], wanted, key):
            left.pop(0)
    if left:
        what = f"The order in patch list:\n{go_text(given)}\n doesn't match $setElementOrder list:\n{go_text(order)}\n"
        raise failed(what)


def _is_same(item: Any, wanted: Any, key: str) -> bool:
    if not key:
        return bool(item == wanted)
    for value in (item, wanted):
        if not isinstance(value, dict):
            raise failed(f"expected a map[string]interface {{}}, but received a {go_type(value)}")
        if key not in value:
            raise failed(f"map: {go_text(value)} does not contain declared merge key: {key}")
    return bool(item[key] == wanted[key])


def ordered(merged: list[Any], wanted: list[Any], before: list[Any], key: str) -> list[Any]:
    """What the patch speaks of in its order; the rest goes between as it was before.

    >>> ordered(["a", "b", "c"], ["c", "a"], ["a", "b"], "")
    ['c', 'a', 'b']
    """
    ours = [item for item in merged if index_of(wanted, item, key) >= 0]
    ours.sort(key=lambda item: index_of(wanted, item, key))
    others = [item for item in merged if index_of(wanted, item, key) < 0]
    result: list[Any] = []
    while ours and others:
        left, right = index_of(before, others[0], key), index_of(before, ours[0], key)
        result.append((others if 0 <= left < right else ours).pop(0))
    return [*result, *ours, *others]
