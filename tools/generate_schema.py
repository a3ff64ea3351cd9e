"""Write netproxy/objects/schema.json.xz: which fields each Kubernetes kind has, of what type, and how each is merged.

Input is the PyPI package `kubernetes-validate` (Apache-2.0, the official OpenAPI definitions) and the Go modules k8s.io/api,
k8s.io/apimachinery and k8s.io/kubernetes (Apache-2.0; see go_types.py), which are needed here only:

    python tools/generate_schema.py \
        SITE-PACKAGES/kubernetes_validate/kubernetes-json-schema/v1.36.0-local/_definitions.json GOMODCACHE/k8s.io \
        GOMODCACHE/k8s.io/kubernetes@v1.36.2/pkg/apis/core/types.go

What is written, by the short name of a type:
  kinds    "apiVersion/kind" → type
  types    type → field (in the order of Go's struct) → code: s, i, n, b, * (anything), []CODE, {}CODE, :TYPE
  merge    type → field → how a strategic merge patch treats it: the key by which items of a list are the same ("" for a list of
           scalars), or "=" when only the keys of the patch are kept (retainKeys), or both ("=name")
  lists    type → field → how server-side apply owns a list: "set", "atomic", or the keys of a map ("name", "port,protocol")
  atomic   type → fields that are owned as a whole though they are objects
  internal type → [Go's name, name in JSON, code] of each field of the API server's own form of a Pod
  go       type → field → how Go decodes and encodes it, where that is not the usual way (codes: see go_types.py)
"""

import json
import lzma
import sys
from pathlib import Path
from typing import Any

from go_types import GoTypes, InternalTypes

CORE = (
    "Binding ConfigMap Endpoints Event LimitRange Namespace Node PersistentVolume PersistentVolumeClaim Pod PodTemplate "
    "ReplicationController ResourceQuota Secret Service ServiceAccount"
)
GROUPS = {
    "apps/v1": "ControllerRevision DaemonSet Deployment ReplicaSet StatefulSet",
    "authentication.k8s.io/v1": "SelfSubjectReview TokenRequest TokenReview",
    "authorization.k8s.io/v1": "LocalSubjectAccessReview SelfSubjectAccessReview SelfSubjectRulesReview SubjectAccessReview",
    "autoscaling/v1": "HorizontalPodAutoscaler Scale",
    "autoscaling/v2": "HorizontalPodAutoscaler",
    "batch/v1": "CronJob Job",
    "coordination.k8s.io/v1": "Lease",
    "discovery.k8s.io/v1": "EndpointSlice",
    "events.k8s.io/v1": "Event",
    "networking.k8s.io/v1": "IPAddress Ingress IngressClass NetworkPolicy ServiceCIDR",
    "policy/v1": "Eviction PodDisruptionBudget",
    "rbac.authorization.k8s.io/v1": "ClusterRole ClusterRoleBinding Role RoleBinding",
    "scheduling.k8s.io/v1": "PriorityClass",
    "storage.k8s.io/v1": "StorageClass",
}
ROOTS = {
    **{f"v1/{kind}": f"io.k8s.api.core.v1.{kind}" for kind in CORE.split()},
    **{
        f"{group}/{kind}": f"io.k8s.api.{group.partition('.')[0].partition('/')[0]}.{group.rpartition('/')[2]}.{kind}"
        for group, kinds in GROUPS.items()
        for kind in kinds.split()
    },
    "apiextensions.k8s.io/v1/CustomResourceDefinition":
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
    "v1/DeleteOptions": "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions",
}  # fmt: skip
SCALARS = {"string": "s", "integer": "i", "number": "n", "boolean": "b"}
PREFIXES = ("io.k8s.api.", "io.k8s.apimachinery.pkg.", "io.k8s.apiextensions-apiserver.pkg.")
FREE = {"Quantity", "IntOrString", "FieldsV1", "RawExtension"}


class Schema:
    """What is known so far; types are added as they are met."""

    def __init__(self, definitions: dict[str, Any]) -> None:
        self._definitions = definitions
        self.types: dict[str, dict[str, str]] = {}
        self.merge: dict[str, dict[str, str]] = {}
        self.lists: dict[str, dict[str, str]] = {}
        self.atomic: dict[str, list[str]] = {}

    def visit(self, name: str) -> str:
        """The code of a type; its fields are noted."""
        short = name
        for prefix in PREFIXES:
            short = short.removeprefix(prefix)
        if short.rsplit(".", 1)[1] in FREE:
            return "*"
        definition = self._definitions[name]
        if "properties" not in definition:
            return self._code({k: v for k, v in definition.items() if k == "type"}) if definition.get("type") else "*"
        if short not in self.types:
            self.types[short] = {}
            for field, schema in sorted(definition["properties"].items()):
                self.types[short][field] = self._code(schema)
                self._note(short, field, schema)
        return ":" + short

    def _code(self, schema: dict[str, Any]) -> str:
        if "$ref" in schema:
            return self.visit(schema["$ref"].rsplit("/", 1)[1])
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = next(k for k in kind if k != "null")
        if kind == "array":
            return "[]" + self._code(schema.get("items", {}))
        if kind == "object":
            extra = schema.get("additionalProperties")
            return "{}" + self._code(extra) if isinstance(extra, dict) else "*"
        return SCALARS.get(str(kind), "*")

    def _note(self, short: str, field: str, schema: dict[str, Any]) -> None:
        strategy = schema.get("x-kubernetes-patch-strategy", "").split(",")
        how = "=" * ("retainKeys" in strategy) + schema.get("x-kubernetes-patch-merge-key", "") * ("merge" in strategy)
        if strategy != [""]:
            self.merge.setdefault(short, {})[field] = how
        kind = schema.get("x-kubernetes-list-type")
        if kind:
            keys = ",".join(schema.get("x-kubernetes-list-map-keys", ()))
            self.lists.setdefault(short, {})[field] = keys if kind == "map" else kind
        if self._is_atomic(schema):
            self.atomic.setdefault(short, []).append(field)

    def _is_atomic(self, schema: dict[str, Any]) -> bool:
        target = self._definitions.get(schema.get("$ref", "").rsplit("/", 1)[-1], {})
        return "atomic" in (schema.get("x-kubernetes-map-type"), target.get("x-kubernetes-map-type"))


def _place(field: str, order: list[str]) -> int:
    return order.index(field) if field in order else len(order)


def main(definitions_file: str, go_folder: str, internal_file: str) -> None:
    """Write the file."""
    definitions = json.loads(Path(definitions_file).read_text())
    schema = Schema(definitions.get("definitions") or definitions["$defs"])
    kinds = {key: schema.visit(name)[1:] for key, name in ROOTS.items()}
    go = GoTypes(Path(go_folder))
    internal = InternalTypes(Path(internal_file), go)
    internal.visit("PodTemplateSpec")
    known = [name for name in schema.types if go.knows(name)]
    for name in known:
        order = list(go.codes(name))
        schema.types[name] = dict(sorted(schema.types[name].items(), key=lambda item: _place(item[0], order)))
    data = {
        "kinds": kinds,
        "types": schema.types,
        "merge": schema.merge,
        "lists": schema.lists,
        "atomic": schema.atomic,
        "internal": internal.types,
        "go": {name: {field: code for field, code in go.codes(name).items() if code} for name in known},
    }
    text = json.dumps(data, separators=(",", ":"))
    target = Path(__file__).parents[1] / "netproxy" / "objects" / "schema.json.xz"
    target.write_bytes(lzma.compress(text.encode(), preset=9))
    print(f"{target}: {len(schema.types)} types, {target.stat().st_size} bytes")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3])
