"""What is refused about a Pod, about the Pod of a template, and about a PodTemplate.

Source: kubernetes pkg/apis/core/validation/validation.go (ValidatePodSpec, ValidatePodCreate, ValidatePodTemplateSpec; behaviour).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from netproxy.objects.meta import Object, metadata, spec
from netproxy.objects.validation.addresses import address_problems
from netproxy.objects.validation.containers import (
    Around,
    container_problems,
    ephemeral_container_problems,
    image_space_problems,
    init_container_problems,
)
from netproxy.objects.validation.metadata import annotation_problems, label_problems
from netproxy.objects.validation.mounts import not_found
from netproxy.objects.validation.names import dns_label, dns_subdomain
from netproxy.objects.validation.podannotations import MIRROR, matching_problems, pod_annotation_problems
from netproxy.objects.validation.podnames import underscored_subdomain
from netproxy.objects.validation.podvolumes import volume_problems
from netproxy.objects.validation.requirements import pod_resources_problems, requirement_problems
from netproxy.objects.validation.rules import Found
from netproxy.objects.validation.scheduling import (
    affinity_problems,
    gate_problems,
    spread_problems,
    toleration_problems,
)
from netproxy.objects.validation.security import (
    host_users_problems,
    hostname_override_problems,
    pod_security_problems,
    shared_process_problems,
)
from netproxy.objects.validation.windows import host_process_problems, system_problems, visited
from netproxy.objects.validation.words import (
    Problems,
    duplicate,
    forbidden,
    invalid,
    invalids,
    one_of,
    required,
)

RESTART_POLICIES = ("Always", "OnFailure", "Never")
_DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_MOST_SERVERS, _MOST_SEARCHES, _MOST_SEARCH_CHARS = 3, 32, 2048
_LONGEST_S = (1 << 31) - 1

Part = Mapping[str, Any]


def pod_problems(obj: Object, meta: Found) -> Problems:
    """What is wrong with a new Pod."""
    given = spec(obj)
    yield from whole_problems(obj, meta)
    if given.get("ephemeralContainers"):
        yield forbidden("spec.ephemeralContainers", "cannot be set on create")
    if given.get("nodeName") and given.get("schedulingGates"):
        yield forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared")
    yield from matching_problems(metadata(obj), given, "spec")


def whole_problems(obj: Object, meta: Found) -> Problems:
    """What is wrong with a Pod, new or changed."""
    given = spec(obj)
    yield from meta
    yield from pod_annotation_problems(metadata(obj).get("annotations"), given, "metadata.annotations")
    yield from spec_problems(given, "spec", metadata(obj))
    if not given.get("serviceAccountName"):
        yield from _tokens(given.get("volumes") or ())
    for group in ("containers", "initContainers"):
        for index, item in enumerate(given.get(group) or ()):
            yield from image_space_problems(item, f"spec.{group}[{index}]")


def _tokens(volumes: Sequence[Part]) -> Problems:
    for index, volume in enumerate(volumes):
        for at, source in enumerate((volume.get("projected") or {}).get("sources") or ()):
            if source.get("serviceAccountToken") is not None:
                place = f"spec.volumes[{index}].projected.sources[{at}].serviceAccountToken"
                yield forbidden(place, "must not be specified when serviceAccountName is not set")


def template_problems(template: Part, path: str) -> Problems:
    """What is wrong with a Pod template."""
    meta, given = template.get("metadata") or {}, template.get("spec") or {}
    yield from template_metadata_problems(meta, given, path)
    yield from spec_problems(given, f"{path}.spec", None)
    yield from matching_problems(meta, given, f"{path}.spec")
    if given.get("ephemeralContainers"):
        yield forbidden(f"{path}.spec.ephemeralContainers", "ephemeral containers not allowed in pod template")


def template_metadata_problems(meta: Part, given: Part, path: str) -> Problems:
    """What is wrong with the labels and annotations of a Pod template."""
    yield from label_problems(meta.get("labels"), f"{path}.labels")
    if meta.get("annotations"):
        yield from annotation_problems(meta["annotations"], f"{path}.annotations")
        yield from pod_annotation_problems(meta["annotations"], given, f"{path}.annotations")


def pod_template_problems(obj: Object, meta: Found) -> Problems:
    """What is wrong with a PodTemplate."""
    yield from meta
    yield from template_problems(obj.get("template") or {}, "template")


def spec_problems(given: Part, path: str, meta: Part | None) -> Problems:
    """What is wrong with the spec of a Pod, which has this metadata (None: of a template)."""
    volumes: dict[str, Part] = {}
    if given.get("volumes"):
        pod = None if meta is None else str(meta.get("name") or "")
        yield from volume_problems(given["volumes"], f"{path}.volumes", pod, volumes)
    claims = [item.get("name") for item in given.get("resourceClaims") or () if item.get("name")]
    yield from _resource_claims(given.get("resourceClaims") or (), f"{path}.resourceClaims", meta or {})
    around = Around(given, volumes, claims)
    yield from container_problems(around, f"{path}.containers")
    if given.get("initContainers"):
        yield from init_container_problems(around, f"{path}.initContainers")
    if given.get("ephemeralContainers"):
        yield from ephemeral_container_problems(around, f"{path}.ephemeralContainers")
    if given.get("resources") is not None:
        yield from pod_resources_problems(given, f"{path}.resources", claims)
    yield from _policies(given, path, of_pod=meta is not None)
    yield from _placement(given, path)
    yield from _names(given, path)
    yield from _rest(given, path)


def _policies(given: Part, path: str, *, of_pod: bool) -> Problems:
    if given.get("hostNetwork"):
        yield from _host_ports(given, path, of_pod=of_pod)
    yield from one_of(f"{path}.restartPolicy", given.get("restartPolicy"), RESTART_POLICIES)
    yield from one_of(f"{path}.dnsPolicy", given.get("dnsPolicy"), _DNS_POLICIES)
    if given.get("nodeSelector"):
        yield from label_problems(given["nodeSelector"], f"{path}.nodeSelector")
    yield from pod_security_problems(given, f"{path}.securityContext")
    yield from shared_process_problems(given, f"{path}.securityContext.shareProcessNamespace")


def _host_ports(given: Part, path: str, *, of_pod: bool) -> Problems:
    for index, container in enumerate(given.get("containers") or ()):
        for at, port in enumerate(container.get("ports") or ()):
            outer, inner = port.get("hostPort") or 0, port.get("containerPort") or 0
            if (of_pod or outer) and outer != inner:
                place = f"{path}.containers[{index}].ports[{at}].hostPort"
                yield invalid(place, outer, "must match `containerPort` when `hostNetwork` is true")


def _placement(given: Part, path: str) -> Problems:
    if given.get("affinity"):
        yield from affinity_problems(given["affinity"], f"{path}.affinity")
    yield from _dns(given, f"{path}.dnsConfig")
    yield from gate_problems(given, path)
    if given.get("topologySpreadConstraints"):
        yield from spread_problems(given["topologySpreadConstraints"], f"{path}.topologySpreadConstraints")
    yield from host_process_problems(given, path)
    yield from host_users_problems(given, path)
    yield from hostname_override_problems(given, f"{path}.hostnameOverride")


def _dns(given: Part, path: str) -> Problems:
    config, is_own = given.get("dnsConfig"), given.get("dnsPolicy") == "None"
    if is_own and config is None:
        yield required(path, "must provide `dnsConfig` when `dnsPolicy` is None")
    elif is_own and not (config or {}).get("nameservers"):
        yield required(f"{path}.nameservers", "must provide at least one DNS nameserver when `dnsPolicy` is None")
    elif config is not None:
        yield from _dns_config(config, path)


def _dns_config(config: Part, path: str) -> Problems:
    servers, searches = config.get("nameservers") or (), config.get("searches") or ()
    if len(servers) > _MOST_SERVERS:
        yield invalid(f"{path}.nameservers", servers, f"must not have more than {_MOST_SERVERS} nameservers")
    for index, server in enumerate(servers):
        yield from address_problems(f"{path}.nameservers[{index}]", server)
    if len(searches) > _MOST_SEARCHES:
        yield invalid(f"{path}.searches", searches, f"must not have more than {_MOST_SEARCHES} search paths")
    if len(" ".join(searches)) > _MOST_SEARCH_CHARS:
        why = f"must not have more than {_MOST_SEARCH_CHARS} characters (including spaces) in the search list"
        yield invalid(f"{path}.searches", searches, why)
    for index, search in enumerate(searches):
        if search != ".":
            name = search.removesuffix(".")
            yield from invalids(f"{path}.searches[{index}]", name, underscored_subdomain(name))
    for index, option in enumerate(config.get("options") or ()):
        if not option.get("name"):
            yield required(f"{path}.options[{index}]", "must not be empty")


def _names(given: Part, path: str) -> Problems:
    for field in ("serviceAccountName", "nodeName"):
        if name := given.get(field):
            yield from invalids(f"{path}.{field}", name, dns_subdomain(name))
    seconds = given.get("activeDeadlineSeconds")
    if seconds is not None and not 1 <= seconds <= _LONGEST_S:
        why = f"must be between 1 and {_LONGEST_S}, inclusive"
        yield invalid(f"{path}.activeDeadlineSeconds", seconds, why)
    for field in ("hostname", "subdomain"):
        if name := given.get(field):
            yield from invalids(f"{path}.{field}", name, dns_label(name))
    if given.get("tolerations"):
        yield from toleration_problems(given["tolerations"], f"{path}.tolerations")
    for index, alias in enumerate(given.get("hostAliases") or ()):
        yield from address_problems(f"{path}.hostAliases[{index}].ip", alias.get("ip") or "")
        for at, name in enumerate(alias.get("hostnames") or ()):
            yield from invalids(f"{path}.hostAliases[{index}].hostnames[{at}]", name, dns_subdomain(name))
    if name := given.get("priorityClassName"):
        yield from invalids(f"{path}.priorityClassName", name, dns_subdomain(name))


def _rest(given: Part, path: str) -> Problems:
    name = given.get("runtimeClassName")
    if name is not None:
        yield from invalids(f"{path}.runtimeClassName", name, dns_subdomain(name))
    policy = given.get("preemptionPolicy")
    if policy == "":
        yield required(f"{path}.preemptionPolicy")
    else:
        yield from one_of(f"{path}.preemptionPolicy", policy, ("PreemptLowerPriority", "Never"))
    if given.get("overhead"):
        yield from requirement_problems({"limits": given["overhead"]}, f"{path}.overhead", ())
    yield from system_problems(given, path)
    yield from _file_volumes(given, path)


def _file_volumes(given: Part, path: str) -> Problems:
    """Whether variables that come out of files come out of volumes that are folders."""
    kinds = {item.get("name") or "": item for item in given.get("volumes") or ()}
    for container, place in visited(given, path):
        for index, variable in enumerate(container.get("env") or ()):
            file = (variable.get("valueFrom") or {}).get("fileKeyRef")
            if file is None:
                continue
            name, where = file.get("volumeName") or "", f"{place}.env[{index}].valueFrom.fileKeyRef.volumeName"
            if name not in kinds:
                yield not_found(where, name)
            elif kinds[name].get("emptyDir") is None:
                yield invalid(where, name, "referenced volume must be of type emptyDir")


def _resource_claims(claims: Sequence[Part], path: str, meta: Part) -> Problems:
    seen: set[str] = set()
    for index, item in enumerate(claims):
        if MIRROR in (meta.get("annotations") or {}):
            yield forbidden("[]", "static pods do not support resource claims")
            continue
        yield from _resource_claim(item, f"{path}[{index}]", seen)


def _resource_claim(item: Part, path: str, seen: set[str]) -> Problems:
    name = item.get("name") or ""
    if not name:
        yield required(f"{path}.name")
    elif name in seen:
        yield duplicate(f"{path}.name", name)
    else:
        yield from invalids(f"{path}.name", name, dns_label(name))
        seen.add(name)
    own, template = item.get("resourceClaimName"), item.get("resourceClaimTemplateName")
    shown = {"Name": name, "ResourceClaimName": own, "ResourceClaimTemplateName": template}
    if own is not None and template is not None:
        yield invalid(path, shown, "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified")
    if own is None and template is None:
        yield invalid(path, shown, "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`")
    for field, value in (("resourceClaimName", own), ("resourceClaimTemplateName", template)):
        if value is not None:
            yield from invalids(f"{path}.{field}", value, dns_subdomain(value))
