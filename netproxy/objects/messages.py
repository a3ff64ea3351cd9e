"""What is asked and answered below /netproxy/: by the command line, the console, and whoever reads docs/api.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from netproxy.core.clock import LONGEST_WAIT_S
from netproxy.core.errors import ManifestError, Problem
from netproxy.objects.choices import KUBE_PROXY_VERSIONS, NFTABLES_LAYOUTS, PROXY_MODES
from netproxy.objects.meta import Object
from netproxy.objects.typed import Message, Rule

FAMILIES = ("ipv4", "ipv6")


@dataclass(frozen=True, slots=True)
class Answer(Message):
    """What the agent says; a newer one may say more."""

    LENIENT: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Nothing(Message):
    """A request without parameters."""


@dataclass(frozen=True, slots=True)
class RuleError(Answer):
    """What keeps the rules of a node (of one family, when that is named) from being right, for as long as it does."""

    node: str
    family: str
    message: str
    what: str = "rules"
    """`rules` when they cannot be written, `configuration`, `mode`, `other rules` that are in the way, the object that
    cannot be followed, or the Service (`left out: default/web`) whose rules the kernel refuses."""
    since: str = ""

    def __str__(self) -> str:
        """One line.

        >>> str(RuleError("node1", "IPv4", "iptables-restore: line 3\\nfailed"))
        'node1 IPv4: the rules cannot be written: iptables-restore: line 3 failed'
        >>> str(RuleError("node1", "", "no such mode", what="mode"))
        'node1: mode: no such mode'
        """
        where = f"{self.node} {self.family}".rstrip()
        what = "the rules cannot be written" if self.what == "rules" else self.what
        return f"{where}: {what}: {' '.join(self.message.split())}"


# --- status


@dataclass(frozen=True, slots=True)
class AgentStatus(Answer):
    """The agent's process."""

    pid: int
    since: float
    """Seconds since the epoch."""
    state: str
    """The cluster's state folder."""
    resource_version: int


@dataclass(frozen=True, slots=True)
class ProxyStatus(Answer):
    """All nodes' proxies together."""

    passes: int
    errors: tuple[RuleError, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeStatus(Answer):
    """One node."""

    name: str
    namespace: str
    addresses: tuple[str, ...]
    pod_cidrs: Annotated[tuple[str, ...], Rule(json="podCIDRs")]
    pods: int
    kube_proxy_version: Annotated[str, Rule(json="kubeProxyVersion")]
    """Which kube-proxy's rules it has."""


@dataclass(frozen=True, slots=True)
class ClientStatus(Answer):
    """The machine outside the cluster."""

    namespace: str
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PodCounts(Answer):
    """How many Pods there are, and how many are ready."""

    total: int
    ready: int


@dataclass(frozen=True, slots=True)
class DnsStatus(Answer):
    """The cluster's DNS."""

    domain: str
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StatusAnswer(Answer):
    """How the cluster is."""

    api_version: str
    kind: str
    cluster: str
    scope: str
    """How much of a cluster it is: `cluster`, `control-plane` or `api`."""
    agent: AgentStatus
    mode: str
    """The nodes' modes, each once, separated by commas."""
    iptables: str
    proxy: ProxyStatus
    nodes: tuple[NodeStatus, ...]
    client: ClientStatus
    pods: PodCounts
    services: int
    endpoint_slices: int
    dns: DnsStatus


# --- objects


@dataclass(frozen=True, slots=True)
class ApplyItem(Message):
    """One object, and where it comes from (a file's name, for messages)."""

    obj: Object
    source: str


@dataclass(frozen=True, slots=True)
class ApplyRequest(Message):
    """Objects to be created or updated: all of them or none."""

    items: tuple[ApplyItem, ...]


@dataclass(frozen=True, slots=True)
class ApplyAnswer(Answer):
    """What was applied, as `Kind namespace/name`."""

    applied: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WaitRequest(Message):
    """Until everything is ready, at most so many seconds."""

    timeout: Annotated[float, Rule(least=0, most=LONGEST_WAIT_S)] = 30.0


@dataclass(frozen=True, slots=True)
class WaitAnswer(Answer):
    """Whether all Pods came to rest, those that are not ready, and whose rules cannot be written."""

    settled: bool
    not_ready: tuple[Object, ...]
    errors: tuple[RuleError, ...] = ()


@dataclass(frozen=True, slots=True)
class ListenAnswer(Answer):
    """That the API is served over HTTPS."""

    kubeconfig: str
    """The file that leads there; empty when it is served nowhere."""


@dataclass(frozen=True, slots=True)
class DownAnswer(Answer):
    """The process that is ending now and takes everything with it."""

    ending: int


# --- places


@dataclass(frozen=True, slots=True)
class EntryRequest(Message):
    """A Pod (also `deploy/NAME`, `svc/NAME`), a node or `client`."""

    target: Annotated[str, Rule(filled=True)]
    namespace: Annotated[str, Rule(filled=True)] = "default"
    container: str = ""


@dataclass(frozen=True, slots=True)
class EntryAnswer(Answer):
    """How to be there: network namespace, host name, folder of files for /etc, environment, working directory.

    For a container of a Pod also its first process, its user (`uid`, `gid`, `groups`, `capabilities`, `gainNothing`), and
    the folder of its control group.
    """

    namespace: str
    hostname: str
    etc: str
    env: dict[str, str]
    cwd: str
    pid: int
    user: dict[str, Any]
    group: str


@dataclass(frozen=True, slots=True)
class LogsRequest(Message):
    """Of one container of a Pod: the first, when none is named."""

    pod: Annotated[str, Rule(filled=True)]
    namespace: Annotated[str, Rule(filled=True)] = "default"
    container: str = ""


@dataclass(frozen=True, slots=True)
class LogsAnswer(Answer):
    """The folder of the container's log files."""

    folder: str
    container: str
    pod: str


# --- rules


@dataclass(frozen=True, slots=True)
class PendingRequest(Message):
    """Of one node, or of all."""

    node: str = ""


@dataclass(frozen=True, slots=True)
class PendingItem(Answer):
    """What the next sync of one node and family would change: how much, and in the words of the mode's own tools."""

    node: str
    family: str
    mode: str
    changes: int
    plan: str


@dataclass(frozen=True, slots=True)
class PendingAnswer(Answer):
    """One item for each node and family; what keeps rules from being right, which is no difference that a sync mends."""

    items: tuple[PendingItem, ...]
    errors: tuple[RuleError, ...] = ()


@dataclass(frozen=True, slots=True)
class RulesRequest(Message):
    """Of one Service on one node: the first, when none is named."""

    service: Annotated[str, Rule(filled=True)]
    namespace: Annotated[str, Rule(filled=True)] = "default"
    node: str = ""
    family: Annotated[str, Rule(one_of=FAMILIES)] = "ipv4"


@dataclass(frozen=True, slots=True)
class RulesPort(Answer):
    """One port of the Service, as the node's proxy sees it."""

    port: int
    name: str
    protocol: str
    cluster_ip: Annotated[str, Rule(json="clusterIP")]
    endpoints: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RulesLine(Answer):
    """One rule: where it is, what it says, why it is there, and what it has seen (nothing, where nothing counts)."""

    port: str
    table: str
    chain: str
    number: int
    text: str
    why: str
    packets: int | None
    bytes: int | None
    present: bool


@dataclass(frozen=True, slots=True)
class RulesAnswer(Answer):
    """What a Service is made of on one node, in packet order."""

    node: str
    family: str
    mode: str
    service: str
    ports: tuple[RulesPort, ...]
    rules: tuple[RulesLine, ...]


@dataclass(frozen=True, slots=True)
class ModeRequest(Message):
    """Put one node, or all, into a mode (empty: as it is), and wait until the rules are there."""

    mode: Annotated[str, Rule(one_of=("", *PROXY_MODES))]
    node: str = ""
    layout: Annotated[str, Rule(one_of=("", *NFTABLES_LAYOUTS))] = ""
    kube_proxy_version: Annotated[str, Rule(json="kubeProxyVersion", one_of=("", *KUBE_PROXY_VERSIONS))] = ""
    timeout: Annotated[float, Rule(least=0, most=LONGEST_WAIT_S)] = 60.0

    @classmethod
    def from_json(cls, value: Any) -> ModeRequest:
        """Raises ManifestError, also for a layout of a mode that has none, and when nothing is asked for."""
        found = super(ModeRequest, cls).from_json(value)
        if not (found.mode or found.kube_proxy_version):
            raise ManifestError([Problem("mode", "Required value: a mode, or a kubeProxyVersion")])
        if found.layout and found.mode != "nftables":
            why = f'Invalid value: "{found.layout}": mode {found.mode} has no layouts, nftables has'
            raise ManifestError([Problem("layout", why)])
        return found


@dataclass(frozen=True, slots=True)
class NodeMode(Answer):
    """The mode that a node is in."""

    name: str
    mode: str
    layout: str
    kube_proxy_version: Annotated[str, Rule(json="kubeProxyVersion")] = ""


@dataclass(frozen=True, slots=True)
class ModeAnswer(Answer):
    """The modes of all nodes."""

    nodes: tuple[NodeMode, ...]
    errors: tuple[RuleError, ...] = ()
