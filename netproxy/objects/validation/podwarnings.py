"""What is said about Pods, and about templates of Pods, that are taken all the same.

Source: kubernetes pkg/api/pod/warnings.go, pkg/api/node/util.go, pkg/registry/core/pod/strategy.go (behaviour).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from netproxy.objects.amount import amount
from netproxy.objects.meta import Object, metadata, name, spec
from netproxy.objects.validation.addresses import address_warnings
from netproxy.objects.validation.names import dns_label, label_value
from netproxy.objects.validation.podannotations import (
    APP_ARMOR,
    ARMOR_IS_OLD,
    SECCOMP_CONTAINER,
    SECCOMP_POD,
    armor_field,
)
from netproxy.objects.validation.volumewarnings import overlap_warnings, volume_warnings
from netproxy.objects.validation.windows import visited
from netproxy.objects.validation.words import quoted

NODE_LABELS = {
    "beta.kubernetes.io/arch": 'deprecated since v1.14; use "kubernetes.io/arch" instead',
    "beta.kubernetes.io/os": 'deprecated since v1.14; use "kubernetes.io/os" instead',
    "failure-domain.beta.kubernetes.io/region": 'deprecated since v1.17; use "topology.kubernetes.io/region" instead',
    "failure-domain.beta.kubernetes.io/zone": 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
    "beta.kubernetes.io/instance-type": 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead',
    "app.kubernetes.io/created-by": "deprecated since v1.9",
    "scheduler.alpha.kubernetes.io/preferAvoidPods": "deprecated since v1.22; use Taints and Tolerations instead",
    "node-role.kubernetes.io/master": 'use "node-role.kubernetes.io/control-plane" instead',
}
_ANNOTATIONS = {
    "scheduler.alpha.kubernetes.io/critical-pod": 'non-functional in v1.16+; use the "priorityClassName" field instead',
    "security.alpha.kubernetes.io/sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
    "security.alpha.kubernetes.io/unsafe-sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
}
_SECCOMP = 'non-functional in v1.27+; use the "seccompProfile" field instead'
_NULL = "a null labelSelector results in matching no pod"
_REQUIRED, _PREFERRED = (f"{how}DuringSchedulingIgnoredDuringExecution" for how in ("required", "preferred"))

Part = Mapping[str, Any]


def label_name_warnings(obj: Object, use: str) -> Iterator[str]:
    """What is said about a name that is no label, though labels are made of it."""
    if reasons := dns_label(name(obj)):
        why = f"{use}, which can result in surprising behavior; a DNS label is recommended"
        yield f"metadata.name: {why}: [{' '.join(reasons)}]"


def pod_warnings(new: Object, old: Object | None) -> Iterator[str]:
    """What is said about a new Pod."""
    if old is None:
        yield from label_name_warnings(new, "this is used in the Pod's hostname")
        yield from _all(metadata(new), spec(new), "", is_template=False)


def is_renewed(new: Object, old: Object | None) -> bool:
    """Whether an object is new, or what is wanted of it."""
    return old is None or metadata(new).get("generation") != metadata(old).get("generation")


def template_warnings(template: Part, path: str) -> Iterator[str]:
    """What is said about a template."""
    yield from _all(template.get("metadata") or {}, template.get("spec") or {}, f"{path}.", is_template=True)


def _all(meta: Part, given: Part, path: str, *, is_template: bool) -> Iterator[str]:
    notes, place = meta.get("annotations") or {}, f"{path}spec"
    yield from _labels(given, place)
    yield from _spread(given, place)
    for key, why in _ANNOTATIONS.items():
        if key in notes:
            yield f"{path}metadata.annotations[{key}]: {why}"
    if given.get("volumes"):
        yield from volume_warnings(given["volumes"], f"{place}.volumes")
        yield from overlap_warnings(given["volumes"])
    yield from _twice(given.get("hostAliases") or (), "ip", f"{place}.hostAliases", "ip")
    yield from _secrets(given.get("imagePullSecrets") or (), f"{place}.imagePullSecrets")
    yield from _fractions(given.get("overhead") or {}, f"{place}.overhead")
    if SECCOMP_POD in notes and (given.get("securityContext") or {}).get("seccompProfile") is None:
        yield f"{path}metadata.annotations[{SECCOMP_POD}]: {_SECCOMP}"
    for container, where in visited(given, place):
        yield from _container(container, where, notes, path, given, is_template=is_template)
    yield from _ports(given, place)
    if (given.get("terminationGracePeriodSeconds") or 0) < 0:
        why = "must be >= 0; negative values are invalid and will be treated as 1"
        yield f"{place}.terminationGracePeriodSeconds: {why}"
    yield from _near(given.get("affinity") or {}, f"{place}.affinity")
    for index, server in enumerate((given.get("dnsConfig") or {}).get("nameservers") or ()):
        yield from address_warnings(f"{place}.dnsConfig.nameservers[{index}]", server)
    for index, alias in enumerate(given.get("hostAliases") or ()):
        yield from address_warnings(f"{place}.hostAliases[{index}].ip", alias.get("ip") or "")


def _labels(given: Part, place: str) -> Iterator[str]:
    for key in given.get("nodeSelector") or ():
        if key in NODE_LABELS:
            yield f"{place}.nodeSelector[{key}]: {NODE_LABELS[key]}"
    near = (given.get("affinity") or {}).get("nodeAffinity") or {}
    where = f"{place}.affinity.nodeAffinity"
    for index, term in enumerate((near.get(_REQUIRED) or {}).get("nodeSelectorTerms") or ()):
        yield from _term(term, f"{where}.{_REQUIRED}.nodeSelectorTerms[{index}]", is_weighted=False)
    for index, item in enumerate(near.get(_PREFERRED) or ()):
        yield from _term(item.get("preference") or {}, f"{where}.{_PREFERRED}[{index}].preference", is_weighted=True)


def _term(term: Part, path: str, *, is_weighted: bool) -> Iterator[str]:
    for index, item in enumerate(term.get("matchExpressions") or ()):
        key, place = item.get("key") or "", f"{path}.matchExpressions[{index}]"
        if key in NODE_LABELS:
            yield f"{place}.key: {key} is {NODE_LABELS[key]}"
        if is_weighted:
            for at, value in enumerate(item.get("values") or ()):
                yield from _label_value(value, f"{place}.values[{at}]")


def _label_value(value: str, path: str) -> Iterator[str]:
    for why in label_value(value):
        yield f"{path}: {value} is invalid, {why}"


def _spread(given: Part, place: str) -> Iterator[str]:
    for index, item in enumerate(given.get("topologySpreadConstraints") or ()):
        key, where = item.get("topologyKey") or "", f"{place}.topologySpreadConstraints[{index}]"
        if key in NODE_LABELS:
            yield f"{where}.topologyKey: {key} is {NODE_LABELS[key]}"
        if item.get("labelSelector") is None:
            yield f"{where}.labelSelector: {_NULL}"


def _twice(items: Iterable[Part], field: str, path: str, what: str) -> Iterator[str]:
    seen: set[str] = set()
    for index, item in enumerate(items):
        value = item.get(field) or ""
        if value in seen:
            yield f"{path}[{index}].{field}: duplicate {what} {quoted(value)}"
        seen.add(value)


def _secrets(secrets: Iterable[Part], path: str) -> Iterator[str]:
    items = tuple(secrets)
    yield from _twice(items, "name", path, "name")
    for index, item in enumerate(items):
        if not item.get("name"):
            yield f'{path}[{index}].name: invalid empty name ""'


def _fractions(amounts: Mapping[str, str], path: str) -> Iterator[str]:
    for key in ("memory", "ephemeral-storage"):
        if key in amounts and not amount(amounts[key]).is_whole:
            yield f"{path}[{key}]: fractional byte value {quoted(amounts[key])} is invalid, must be an integer"


def _container(
    item: Part, path: str, notes: Mapping[str, str], whole: str, given: Part, *, is_template: bool
) -> Iterator[str]:
    context, own = item.get("securityContext") or {}, item.get("name") or ""
    seccomp, armor = SECCOMP_CONTAINER + own, APP_ARMOR + own
    if seccomp in notes and context.get("seccompProfile") is None:
        yield f"{whole}metadata.annotations[{seccomp}]: {_SECCOMP}"
    own_armor = (given.get("securityContext") or {}).get("appArmorProfile")
    if is_template and armor in notes and context.get("appArmorProfile") is None:
        yield from _armor_said(notes[armor], own_armor, f"{whole}metadata.annotations[{armor}]")
    resources = item.get("resources") or {}
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for key in ("memory", "ephemeral-storage"):
        for side, amounts in (("limits", limits), ("requests", requests)):
            if key in amounts:
                yield from _fractions({key: amounts[key]}, f"{path}.resources.{side}")
    yield from _hidden(item.get("env") or (), f"{path}.env")


def _armor_said(value: str, of_pod: Any, path: str) -> Iterator[str]:
    if of_pod is None or of_pod != armor_field(value):
        yield f"{path}: {ARMOR_IS_OLD}"


def _hidden(variables: Iterable[Part], path: str) -> Iterator[str]:
    seen: set[str] = set()
    for index, item in enumerate(variables):
        called, value = item.get("name") or "", item.get("value") or ""
        own = f"$({called})"
        if called in seen and (item.get("valueFrom") is not None or value == own or own not in value):
            why = f"hides previous definition of {quoted(called)}, which may be dropped when using apply"
            yield f"{path}[{index}]: {why}"
        seen.add(called)


def _ports(given: Part, place: str) -> Iterator[str]:
    known: dict[str, list[tuple[str, Part]]] = {}
    for container, path in visited(given, place):
        for index, port in enumerate(container.get("ports") or ()):
            where = f"{path}.ports[{index}]"
            if port.get("hostIP") and not port.get("hostPort"):
                yield f"{where}: hostIP set without hostPort: {_port_shown(port)}"
            others = known.setdefault(f"{port.get('containerPort') or 0}/{port.get('protocol') or ''}", [])
            for other, same in others:
                if word := _overlap(port, same):
                    yield f"{where}: {word} port definition with {other}"
            others.append((where, port))
    names: dict[str, str] = {}
    for container, path in visited(given, place):
        for index, port in enumerate(container.get("ports") or ()):
            called, where = port.get("name"), f"{path}.ports[{index}]"
            if called in names:
                first = names[called]
                why = f"services and probes that select ports by name will use {first}"
                yield f"{where}: duplicate port name {quoted(called)} with {first}, {why}"
            elif called:
                names[called] = where


def _overlap(port: Part, other: Part) -> str:
    number, others = port.get("hostPort") or 0, other.get("hostPort") or 0
    address, its = port.get("hostIP") or "", other.get("hostIP") or ""
    if (address, number) == (its, others):
        return "duplicate"
    if not number or not others:
        return "overlapping"
    return "dangerously ambiguous" if number == others and bool(address) != bool(its) else ""


def _port_shown(port: Part) -> str:
    """A port as Go's `%+v` writes it."""
    fields = (("Name", "name", ""), ("HostPort", "hostPort", 0), ("ContainerPort", "containerPort", 0),
              ("Protocol", "protocol", ""), ("HostIP", "hostIP", ""))  # fmt: skip
    return "{" + " ".join(f"{shown}:{port.get(field) or zero}" for shown, field, zero in fields) + "}"


def _near(affinity: Part, path: str) -> Iterator[str]:
    for side in ("podAffinity", "podAntiAffinity"):
        given, place = affinity.get(side) or {}, f"{path}.{side}"
        for index, term in enumerate(given.get(_REQUIRED) or ()):
            if term.get("labelSelector") is None:
                yield f"{place}.{_REQUIRED}[{index}].labelSelector: {_NULL}"
        for index, item in enumerate(given.get(_PREFERRED) or ()):
            if (item.get("podAffinityTerm") or {}).get("labelSelector") is None:
                yield f"{place}.{_PREFERRED}[{index}].podAffinityTerm.labelSelector: {_NULL}"
