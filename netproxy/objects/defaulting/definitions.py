"""What is filled into CustomResourceDefinitions.

Source: kubernetes staging/src/k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1/defaults.go (behaviour).
"""

from __future__ import annotations

from collections.abc import Callable

from netproxy.objects.meta import Object


def _definition(obj: Object) -> Object:
    spec = dict(obj.get("spec") or {})
    names = dict(spec.get("names") or {})
    names["singular"] = names.get("singular") or str(names.get("kind") or "").lower()
    if not names.get("listKind") and names.get("kind"):
        names["listKind"] = f"{names['kind']}List"
    names = {field: value for field, value in names.items() if field != "singular" or value}
    conversion = spec.get("conversion") or {"strategy": "None"}
    service = ((conversion.get("webhook") or {}).get("clientConfig") or {}).get("service")
    if service is not None and service.get("port") is None:
        client = {**conversion["webhook"]["clientConfig"], "service": {**service, "port": 443}}
        conversion = {**conversion, "webhook": {**conversion["webhook"], "clientConfig": client}}
    return {**obj, "spec": {**spec, "names": names, "conversion": conversion}}


FILLERS: dict[str, Callable[[Object], Object]] = {"CustomResourceDefinition": _definition}
