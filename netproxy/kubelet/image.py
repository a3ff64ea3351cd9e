"""What an image name runs here: a table of the images that tutorials use, and those that the user made known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from netproxy.objects.meta import Object, name, spec


@dataclass(frozen=True, slots=True)
class Known:
    """One row of the table."""

    name: str
    what: str
    builtin: str = ""
    """A built-in server: netexec, hostname, echo, pause, dns."""
    command: tuple[str, ...] = ()
    """What runs when the container gives no command."""
    program: str = ""
    """A program that this machine must have."""
    flags: tuple[tuple[str, str], ...] = ()
    """Defaults of the flags that the built-in server reads."""


_NETEXEC = (("http-port", "8080"), ("udp-port", "8081"), ("tcp-port", "0"))

TABLE: tuple[Known, ...] = (
    Known("agnhost", "the Kubernetes test server: netexec, serve-hostname, pause", "netexec", flags=_NETEXEC),
    Known("netexec", "the same server, without a subcommand", "netexec", flags=_NETEXEC),
    Known(
        "serve-hostname", "answers with the Pod's name on 9376", "hostname", flags=(("port", "9376"), ("http-port", ""))
    ),
    Known(
        "serve_hostname", "answers with the Pod's name on 9376", "hostname", flags=(("port", "9376"), ("http-port", ""))
    ),
    Known("echoserver", "tells what arrived, on 8080", "echo", flags=(("port", "8080"),)),
    Known("echo-server", "tells what arrived, on 80", "echo", flags=(("port", "80"),)),
    Known("whoami", "tells what arrived, on 80", "echo", flags=(("port", "80"),)),
    Known(
        "http-echo",
        "answers with -text on -listen (:5678)",
        "netexec",
        flags=(("text", "hello-world"), ("listen", ":5678")),
    ),
    Known("pause", "does nothing", "pause"),
    Known("nginx", "this machine's nginx, on 80", program="nginx"),
    *(
        Known(shell, "this machine's programs", command=("sh",))
        for shell in (
            "busybox",
            "alpine",
            "debian",
            "ubuntu",
            "bash",
            "netshoot",
            "curl",
            "dnsutils",
            "jessie-dnsutils",
        )
    ),
    Known("python", "this machine's Python", command=("python3",), program="python3"),
    Known("netproxy-dns", "the cluster's name server", "dns"),
)


@dataclass(frozen=True, slots=True)
class Run:
    """What a container does here: a built-in server with its flags, or a command."""

    argv: tuple[str, ...] = ()
    builtin: str = ""
    flags: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Unknown:
    """The image cannot be run; WHY says what to do about it."""

    why: str


def base_name(image: str) -> str:
    """The name without registry, tag and digest.

    >>> base_name("registry.k8s.io/e2e-test-images/agnhost:2.39"), base_name("nginx@sha256:0")
    ('agnhost', 'nginx')
    """
    return image.rpartition("/")[2].partition("@")[0].partition(":")[0]


def resolve(
    image: str, command: Sequence[str], args: Sequence[str], *, loaded: Mapping[str, Sequence[str]],
    installed: Callable[[str], bool],
) -> Run | Unknown:  # fmt: skip
    """Decide what a container of IMAGE runs.

    LOADED are the images made known by `netproxy image load`; INSTALLED tells whether this machine has a program.
    """
    known = next((row for row in TABLE if row.name == base_name(image)), None)
    custom = loaded.get(image) or loaded.get(base_name(image))
    if command:
        return _agnhost(tuple(command[1:]) + tuple(args)) if _is_agnhost(command[0]) else Run((*command, *args))
    if custom:
        return Run((*custom, *args))
    if known is None:
        return Unknown(
            f'image "{image}" is not known here and the container gives no command; '
            f"`netproxy image load {image} --command '…'` makes it known, `netproxy images` lists the known ones"
        )
    if known.program and not installed(known.program):
        return Unknown(f'image "{image}" runs this machine\'s {known.program}, which is not installed; install it, or '
                       f"`netproxy image load {image} --command '…'`")  # fmt: skip
    if known.name == "agnhost":
        return _agnhost(tuple(args))
    if known.builtin:
        return Run(tuple(args), known.builtin, known.flags)
    if known.name == "nginx":
        return Run(builtin="nginx")
    return Run((*(args or known.command),))


def _is_agnhost(word: str) -> bool:
    return word in ("/agnhost", "agnhost")


def _agnhost(args: tuple[str, ...]) -> Run | Unknown:
    match args[:1]:
        case () | ("netexec",):
            return Run(args, "netexec", _NETEXEC)
        case ("serve-hostname",):
            return Run(args, "hostname", (("port", "9376"), ("http-port", "")))
        case ("pause",):
            return Run(args, "pause")
        case _:
            return Unknown(f"agnhost's {args[0]!r} is not built in here; netexec, serve-hostname and pause are")


def loaded_images(images: Sequence[Object]) -> dict[str, tuple[str, ...]]:
    """The images that the user made known: name → command."""
    return {str(spec(i).get("image") or name(i)): tuple(spec(i).get("command") or ()) for i in images}


def is_ours(image: str, command: Sequence[str]) -> bool:
    """Whether what a container runs is a server that netproxy brings, not a program of this machine.

    >>> is_ours("agnhost", ()), is_ours("agnhost", ["/agnhost", "netexec"]), is_ours("agnhost", ["sh"]), is_ours("nginx", ())
    (True, True, False, False)
    """
    if command:
        return _is_agnhost(command[0])
    return any(row.name == base_name(image) and row.builtin for row in TABLE)
