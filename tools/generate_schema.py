"""Write netproxy/objects/schema.json.xz: which fields each Kubernetes kind has, and of what type.

Input is the PyPI package `kubernetes-validate` (Apache-2.0, the official OpenAPI definitions), which is needed here only:

    python tools/generate_schema.py SITE-PACKAGES/kubernetes_validate/kubernetes-json-schema/v1.36.0-local/_definitions.json
"""

import json
import lzma
import sys
from pathlib import Path
from typing import Any

ROOTS = {
    "v1/Pod": "io.k8s.api.core.v1.Pod",
    "v1/Service": "io.k8s.api.core.v1.Service",
    "v1/Node": "io.k8s.api.core.v1.Node",
    "v1/Namespace": "io.k8s.api.core.v1.Namespace",
    "v1/ConfigMap": "io.k8s.api.core.v1.ConfigMap",
    "v1/Event": "io.k8s.api.core.v1.Event",
    "v1/Endpoints": "io.k8s.api.core.v1.Endpoints",
    "apps/v1/Deployment": "io.k8s.api.apps.v1.Deployment",
    "apps/v1/ReplicaSet": "io.k8s.api.apps.v1.ReplicaSet",
    "discovery.k8s.io/v1/EndpointSlice": "io.k8s.api.discovery.v1.EndpointSlice",
    "networking.k8s.io/v1/ServiceCIDR": "io.k8s.api.networking.v1.ServiceCIDR",
}
SCALARS = {"string": "s", "integer": "i", "number": "n", "boolean": "b"}
FREE = {"Quantity", "IntOrString", "FieldsV1", "RawExtension"}


def main(definitions_file: str) -> None:
    definitions = json.loads(Path(definitions_file).read_text())
    definitions = definitions.get("definitions") or definitions["$defs"]
    types: dict[str, dict[str, str]] = {}

    def code(schema: dict[str, Any]) -> str:
        if "$ref" in schema:
            return visit(schema["$ref"].rsplit("/", 1)[1])
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = next(k for k in kind if k != "null")
        if kind == "array":
            return "[]" + code(schema.get("items", {}))
        if kind == "object":
            extra = schema.get("additionalProperties")
            return "{}" + code(extra) if isinstance(extra, dict) else "*"
        return SCALARS.get(kind, "*")

    def visit(name: str) -> str:
        short = name.removeprefix("io.k8s.api.").removeprefix("io.k8s.apimachinery.pkg.")
        if short.rsplit(".", 1)[1] in FREE:
            return "*"
        definition = definitions[name]
        if "properties" not in definition:
            return code({k: v for k, v in definition.items() if k == "type"}) if definition.get("type") else "*"
        if short not in types:
            types[short] = {}
            types[short].update({field: code(schema) for field, schema in sorted(definition["properties"].items())})
        return ":" + short

    kinds = {key: visit(name)[1:] for key, name in ROOTS.items()}
    text = json.dumps({"kinds": kinds, "types": types}, separators=(",", ":"), sort_keys=True)
    target = Path(__file__).parents[1] / "netproxy" / "objects" / "schema.json.xz"
    target.write_bytes(lzma.compress(text.encode(), preset=9))
    print(f"{target}: {len(types)} types, {target.stat().st_size} bytes")


if __name__ == "__main__":
    main(sys.argv[1])
