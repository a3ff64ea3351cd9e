"""What is refused about amounts of resources and their names: in a Node's status, a ResourceQuota, a LimitRange.

Source: kubernetes pkg/apis/core/validation/validation.go, pkg/apis/core/helper/helpers.go (behaviour).
"""

from __future__ import annotations

from netproxy.objects.amounts import amount
from netproxy.objects.validation.names import qualified
from netproxy.objects.validation.words import NOT_NEGATIVE, Problems, invalid, invalids

_COUNTS = frozenset((
    "pods", "resourcequotas", "services", "replicationcontrollers", "secrets", "configmaps", "persistentvolumeclaims",
    "services.nodeports", "services.loadbalancers",
))  # fmt: skip
_COMPUTE = frozenset(("cpu", "memory", "ephemeral-storage"))
_QUOTA = (
    _COUNTS
    | _COMPUTE
    | {f"{when}.{name}" for when in ("requests", "limits") for name in _COMPUTE}
    | {"requests.storage"}
)
_STANDARD = _QUOTA | {"storage"}
_HUGE = ("hugepages-", "requests.hugepages-")


def quantity_problems(path: str, name: str, given: str) -> Problems:
    """Whether an amount can be one of this resource."""
    count = amount(given)
    if count < 0:
        yield invalid(path, given, NOT_NEGATIVE)
    if is_counted(name) and count.denominator != 1:
        yield invalid(path, given, "must be an integer")


def resource_name_problems(path: str, name: str) -> Problems:
    """Whether a name can be one of a resource."""
    if reasons := qualified(name):
        yield from invalids(path, name, reasons)
    elif "/" not in name and not (name in _STANDARD or name.startswith(_HUGE)):
        yield invalid(path, name, "must be a standard resource type or fully qualified")


def quota_name_problems(path: str, name: str) -> Problems:
    """Whether a quota can be for this resource."""
    yield from resource_name_problems(path, name)
    if "/" not in name and not is_standard_in_quota(name):
        yield invalid(path, name, "must be a standard resource for quota")


def container_name_problems(path: str, name: str) -> Problems:
    """Whether a container can have some of this resource."""
    yield from resource_name_problems(path, name)
    if "/" not in name:
        if name not in _COMPUTE and not name.startswith(_HUGE[0]):
            yield invalid(path, name, "must be a standard resource for containers")
    elif "kubernetes.io/" not in name and not is_extended(name):
        yield invalid(path, name, "doesn't follow extended resource name standard")


def is_standard_in_quota(name: str) -> bool:
    """Whether a quota knows this resource without a domain."""
    return name in _QUOTA or name.startswith(_HUGE)


def is_counted(name: str) -> bool:
    """Whether there are only whole ones.

    >>> is_counted("pods"), is_counted("example.com/gpu"), is_counted("cpu")
    (True, True, False)
    """
    return name in _COUNTS or is_extended(name)


def is_extended(name: str) -> bool:
    """Whether somebody outside of Kubernetes has named this resource."""
    native = "/" not in name or "kubernetes.io/" in name
    return not native and not name.startswith("requests.") and not qualified(f"requests.{name}")


def may_be_overcommitted(name: str) -> bool:
    """Whether limits may be above requests."""
    return ("/" not in name or "kubernetes.io/" in name) and not name.startswith(_HUGE[0])
