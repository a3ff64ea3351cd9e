"""What is refused about the containers of Pods: their own ones, those before them, those that are put in later.

Source: kubernetes pkg/apis/core/validation/validation.go (validateContainers, validateInitContainers, … ; behaviour).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from netproxy.objects.validation.environment import env_from_problems, env_problems
from netproxy.objects.validation.handlers import lifecycle_problems, probes_problems
from netproxy.objects.validation.mounts import mount_problems, not_found
from netproxy.objects.validation.names import dns_label, port_name
from netproxy.objects.validation.requirements import requirement_problems
from netproxy.objects.validation.security import container_security_problems
from netproxy.objects.validation.words import (
    PROTOCOLS,
    Problems,
    duplicate,
    forbidden,
    invalid,
    invalids,
    one_of,
    port,
    required,
    too_many,
    unsupported,
)

PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_MESSAGES = ("File", "FallbackToLogsOnError")
_RESTARTS = ("Always", "Never", "OnFailure")
_OPERATORS = ("In", "NotIn")
_MOST_RULES, _MOST_VALUES = 20, 255
_NOT_LATER = (
    "ports", "resources", "resizePolicy", "restartPolicy", "restartPolicyRules",
    "livenessProbe", "readinessProbe", "startupProbe", "lifecycle",
)  # fmt: skip
_ONLY_SIDECARS = ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe")

Part = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Around:
    """What the checks of a container need to know of its Pod."""

    spec: Part
    volumes: Mapping[str, Part]
    """Those that are right."""
    claims: Collection[str] = ()

    @property
    def grace_s(self) -> int | None:
        """How long the Pod has to end."""
        given: int | None = self.spec.get("terminationGracePeriodSeconds")
        return given


def container_problems(around: Around, path: str) -> Problems:
    """What is wrong with a Pod's own containers."""
    containers = around.spec.get("containers") or ()
    if not containers:
        yield required(path)
    names: set[str] = set()
    for index, item in enumerate(containers):
        place, name = f"{path}[{index}]", item.get("name") or ""
        yield from _common(item, place, around)
        if name in names:
            yield duplicate(f"{place}.name", name)
        names.add(name)
        if item.get("lifecycle") is not None:
            yield from lifecycle_problems(item["lifecycle"], f"{place}.lifecycle", around.grace_s)
        yield from probes_problems(item, place, around.grace_s)
        yield from _restart(item, place, is_init=False)
    yield from _host_ports(containers, path)


def init_container_problems(around: Around, path: str) -> Problems:
    """What is wrong with the containers that run before a Pod's own, or beside them."""
    names = {item.get("name") or "" for item in around.spec.get("containers") or ()}
    for index, item in enumerate(around.spec.get("initContainers") or ()):
        place, name = f"{path}[{index}]", item.get("name") or ""
        yield from _common(item, place, around)
        yield from _restart(item, place, is_init=True)
        if name in names:
            yield duplicate(f"{place}.name", name)
        elif name:
            names.add(name)
        yield from _host_ports((item,), path)
        if item.get("restartPolicy") == "Always":
            if item.get("lifecycle") is not None:
                yield from lifecycle_problems(item["lifecycle"], f"{place}.lifecycle", around.grace_s)
            yield from probes_problems(item, place, around.grace_s)
        else:
            yield from _before(item, place)


def _before(item: Part, path: str) -> Problems:
    """A container that ends before the others begin."""
    for field in _ONLY_SIDECARS:
        if item.get(field) is not None:
            yield forbidden(f"{path}.{field}", "may not be set for init containers without restartPolicy=Always")
    for index, policy in enumerate(item.get("resizePolicy") or ()):
        if policy.get("restartPolicy") == "RestartContainer":
            why = "must not be set to 'RestartContainer' for non-sidecar initContainers"
            yield invalid(f"{path}.resizePolicy[{index}].restartPolicy", "RestartContainer", why)


def ephemeral_container_problems(around: Around, path: str) -> Problems:
    """What is wrong with containers that are put into a Pod that runs."""
    groups = (*(around.spec.get("containers") or ()), *(around.spec.get("initContainers") or ()))
    others = {item.get("name") or "" for item in groups}
    names = set(others)
    for index, item in enumerate(around.spec.get("ephemeralContainers") or ()):
        place, name, target = f"{path}[{index}]", item.get("name") or "", item.get("targetContainerName")
        yield from _common(item, place, around)
        yield from image_space_problems(item, place)
        if name in names:
            yield duplicate(f"{place}.name", name)
        names.add(name)
        if target and target not in others:
            yield not_found(f"{place}.targetContainerName", target)
        yield from _later(item, place)


def _later(item: Part, path: str) -> Problems:
    why = "cannot be set for an Ephemeral Container"
    for field in _NOT_LATER:
        if item.get(field) is not None and (field != "resources" or item[field]):
            yield forbidden(f"{path}.{field}", why)
    for index, mount in enumerate(item.get("volumeMounts") or ()):
        for field in ("subPath", "subPathExpr"):
            if mount.get(field):
                yield forbidden(f"{path}.volumeMounts[{index}].{field}", why)


def image_space_problems(item: Part, path: str) -> Problems:
    """Whether an image's name has blanks around it: only a Pod is asked."""
    image = item.get("image") or ""
    if image != image.strip():
        yield invalid(f"{path}.image", image, "must not have leading or trailing whitespace")


def _common(item: Part, path: str, around: Around) -> Problems:
    name = item.get("name") or ""
    if not name:
        yield required(f"{path}.name")
    elif reasons := dns_label(name):
        yield from invalids(f"{path}.name", name, reasons)
    if not item.get("image"):
        yield required(f"{path}.image")
    yield from one_of(f"{path}.terminationMessagePolicy", item.get("terminationMessagePolicy"), _MESSAGES)
    yield from _inside(item, path, around)
    yield from one_of(f"{path}.imagePullPolicy", item.get("imagePullPolicy"), PULL_POLICIES)
    if item.get("resources"):
        yield from requirement_problems(item["resources"], f"{path}.resources", around.claims)
    if item.get("resizePolicy"):
        yield from _resize(item["resizePolicy"], f"{path}.resizePolicy", around.spec.get("restartPolicy"))
    if item.get("securityContext"):
        host_users = around.spec.get("hostUsers") is not False
        yield from container_security_problems(
            item["securityContext"], f"{path}.securityContext", host_users=host_users
        )


def _inside(item: Part, path: str, around: Around) -> Problems:
    if item.get("ports"):
        yield from _ports(item["ports"], f"{path}.ports")
    if item.get("env"):
        yield from env_problems(item["env"], f"{path}.env")
    if item.get("envFrom"):
        yield from env_from_problems(item["envFrom"], f"{path}.envFrom")
    if item.get("volumeMounts") or item.get("volumeDevices"):
        yield from mount_problems(item, around.volumes, path)


def _ports(ports: Sequence[Part], path: str) -> Problems:
    names: set[str] = set()
    for index, item in enumerate(ports):
        place, name = f"{path}[{index}]", item.get("name")
        if name:
            reasons = port_name(name)
            yield from invalids(f"{place}.name", name, reasons)
            if name in names:
                yield duplicate(f"{place}.name", name)
            elif not reasons:
                names.add(name)
        if item.get("containerPort"):
            yield from port(f"{place}.containerPort", item["containerPort"])
        else:
            yield required(f"{place}.containerPort")
        if item.get("hostPort"):
            yield from port(f"{place}.hostPort", item["hostPort"])
        yield from one_of(f"{place}.protocol", item.get("protocol"), PROTOCOLS)


def _host_ports(containers: Sequence[Part], path: str) -> Problems:
    seen: set[str] = set()
    for index, item in enumerate(containers):
        for at, given in enumerate(item.get("ports") or ()):
            number = given.get("hostPort")
            if number:
                taken = f"{given.get('protocol', 'TCP')}/{given.get('hostIP') or ''}/{number}"
                if taken in seen:
                    yield duplicate(f"{path}[{index}].ports[{at}].hostPort", taken)
                seen.add(taken)


def _resize(policies: Sequence[Part], path: str, restart: str | None) -> Problems:
    seen: set[str] = set()
    for index, item in enumerate(policies):
        resource, policy = item.get("resourceName") or "", item.get("restartPolicy") or ""
        if resource in seen:
            yield duplicate(f"{path}[{index}]", resource)
        seen.add(resource)
        for value, known in ((resource, ("cpu", "memory")), (policy, ("NotRequired", "RestartContainer"))):
            if not value:
                yield required(path)
            else:
                yield from one_of(path, value, known)
        if restart == "Never" and policy != "NotRequired":
            yield invalid(path, policy, "must be 'NotRequired' when pod `restartPolicy` is 'Never'")


def _restart(item: Part, path: str, *, is_init: bool) -> Problems:
    policy, rules = item.get("restartPolicy"), item.get("restartPolicyRules") or ()
    if policy is None:
        if rules:
            yield required(f"{path}.restartPolicy", "must specify restartPolicy when restart rules are used")
        if is_init:
            return
    elif policy not in _RESTARTS:
        yield unsupported(f"{path}.restartPolicy", policy, _RESTARTS)
    if len(rules) > _MOST_RULES:
        yield too_many(f"{path}.restartPolicyRules", len(rules), _MOST_RULES)
    for index, rule in enumerate(rules):
        yield from _restart_rule(rule, f"{path}.restartPolicyRules[{index}]")


def _restart_rule(rule: Part, path: str) -> Problems:
    action, codes = rule.get("action") or "", rule.get("exitCodes")
    if action not in ("Restart", "RestartAllContainers"):
        yield unsupported(f"{path}.action", action, ("Restart", "RestartAllContainers"))
    if codes is None:
        yield required(f"{path}.exitCodes", "must be specified")
        return
    if codes.get("operator") not in _OPERATORS:
        yield unsupported(f"{path}.exitCodes.operator", codes.get("operator") or "", _OPERATORS)
    if len(codes.get("values") or ()) > _MOST_VALUES:
        yield too_many(f"{path}.exitCodes.values", len(codes["values"]), _MOST_VALUES)
