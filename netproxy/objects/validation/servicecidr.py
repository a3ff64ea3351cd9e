"""What is refused about a ServiceCIDR.

Source: kubernetes pkg/apis/networking/validation/validation.go (behaviour, not code).
"""

from __future__ import annotations

from netproxy.core.net import is_cidr
from netproxy.objects.meta import Object
from netproxy.objects.validation.words import Problems, invalid


def service_cidr_problems(obj: Object) -> Problems:
    for index, cidr in enumerate((obj.get("spec") or {}).get("cidrs") or ()):
        if not is_cidr(cidr):
            yield invalid(f"spec.cidrs[{index}]", cidr, "must be a valid CIDR value, (e.g. 10.9.8.0/24)")
