"""What is refused about an object's metadata.

Source: kubernetes pkg/api/validation, apimachinery pkg/api/validation/objectmeta.go (behaviour, not code).
"""

from __future__ import annotations

from netproxy.core.names import is_dns_label, is_dns_subdomain
from netproxy.objects.labels import annotation_problems, label_problems
from netproxy.objects.meta import Object, metadata
from netproxy.objects.validation.words import Problems, invalid, required


def metadata_problems(obj: Object) -> Problems:
    meta = metadata(obj)
    yield from label_problems("metadata.labels", meta.get("labels"))
    yield from annotation_problems("metadata.annotations", meta.get("annotations"))
    for index, owner in enumerate(meta.get("ownerReferences") or ()):
        for field in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(field):
                yield required(f"metadata.ownerReferences[{index}].{field}", "must not be empty")
    name = meta.get("name")
    if not name and not meta.get("generateName"):
        if obj.get("kind") not in ("KubeProxyConfiguration", "Cluster"):
            yield required("metadata.name", "name or generateName is required")
        return
    label = obj.get("kind") in ("Service", "Namespace")
    if name and not (is_dns_label(name) if label else is_dns_subdomain(name)):
        rule = "label" if label else "subdomain"
        yield invalid(
            "metadata.name",
            name,
            f"a lowercase RFC 1123 {rule} must consist of lower case alphanumeric "
            "characters or '-'"
            + ("" if label else " or '.'")
            + ", and must start and end with an alphanumeric character",
        )
    namespace = meta.get("namespace")
    if namespace and not is_dns_label(namespace):
        yield invalid("metadata.namespace", namespace, "must be a lowercase RFC 1123 label")
