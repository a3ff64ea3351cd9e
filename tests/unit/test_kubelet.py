"""What a kubelet decides: images, environments, files, restarts, probes' verdicts."""

import json
import socket
import subprocess
import sys
import threading
from http.server import ThreadingHTTPServer

import pytest
from support.build import pod_object, service_object

from netproxy.core.errors import ConflictError
from netproxy.kubelet import image, netexec, resolv
from netproxy.kubelet.addresses import pod_address, pod_addresses, pod_link
from netproxy.kubelet.container import Sources, command_of, environment, expand
from netproxy.kubelet.netexec import parse_flags
from netproxy.kubelet.probe import port_number
from netproxy.kubelet.state import ContainerState, Seen, backoff_s, container_status, pod_status, should_restart
from netproxy.linux.host import resolv_conf
from netproxy.objects.cluster import cluster_spec

CLUSTER = cluster_spec()
HOST = "nameserver 192.0.2.53\nsearch corp.example\noptions edns0\n"


def resolve(name, command=(), args=(), loaded=None, installed=True):
    return image.resolve(name, command, args, loaded=loaded or {}, installed=lambda _: installed)


@pytest.mark.parametrize(
    ("name", "command", "args", "builtin", "argv"),
    [
        ("registry.k8s.io/e2e-test-images/agnhost:2.39", (), ("netexec", "--http-port=80"), "netexec", ("netexec", "--http-port=80")),
        ("agnhost", (), ("serve-hostname",), "hostname", ("serve-hostname",)),
        ("agnhost", (), (), "netexec", ()),
        ("anything", ("/agnhost", "pause"), (), "pause", ("pause",)),
        ("busybox:1.36", (), (), "", ("sh",)),
        ("busybox", ("sleep",), ("1",), "", ("sleep", "1")),
        ("hashicorp/http-echo", (), ("-text=x",), "netexec", ("-text=x",)),
        ("nginx:1.25", (), (), "nginx", ()),
        ("registry.k8s.io/pause:3.9", (), (), "pause", ()),
    ],
)  # fmt: skip
def test_known_images(name, command, args, builtin, argv):
    found = resolve(name, command, args)
    assert (found.builtin, found.argv) == (builtin, argv)


def test_unknown_images_say_how_to_make_them_known():
    assert "netproxy image load my/app --command" in resolve("my/app").why
    assert resolve("my/app", loaded={"my/app": ("sleep", "1")}, args=("2",)).argv == ("sleep", "1", "2")
    assert "not installed" in resolve("nginx", installed=False).why
    assert "not built in" in resolve("agnhost", args=("webhook",)).why
    images = [{"metadata": {"name": "x"}, "spec": {"image": "my/app", "command": ["a"]}}]
    assert image.loaded_images(images) == {"my/app": ("a",)}


def test_flags_of_built_in_servers():
    flags = parse_flags(
        ["netexec", "--http-port", "81", "-text=hi", "--other=1"], {"http-port": "80", "text": "", "udp-port": "1"}
    )
    assert flags == {"http-port": "81", "text": "hi", "udp-port": "1"}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param({}, "search default.svc.cluster.local svc.cluster.local cluster.local corp.example\nnameserver 10.96.0.10\n"
                         "options ndots:5\n", id="ClusterFirst"),
        pytest.param({"hostNetwork": True}, "search corp.example\nnameserver 192.0.2.53\noptions edns0\n", id="host network: Default"),
        pytest.param({"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"},
                     "search default.svc.cluster.local svc.cluster.local cluster.local corp.example\nnameserver 10.96.0.10\n"
                     "options ndots:5\n", id="ClusterFirstWithHostNet"),
        pytest.param({"dnsPolicy": "Default"}, "search corp.example\nnameserver 192.0.2.53\noptions edns0\n", id="Default"),
        pytest.param({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["1.1.1.1"], "searches": ["a.b"],
                                                         "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}]}},
                     "search a.b\nnameserver 1.1.1.1\noptions ndots:2 edns0\n", id="None with dnsConfig"),
        pytest.param({"dnsConfig": {"options": [{"name": "ndots", "value": "1"}]}},
                     "search default.svc.cluster.local svc.cluster.local cluster.local corp.example\nnameserver 10.96.0.10\n"
                     "options ndots:1\n", id="dnsConfig overrides an option"),
    ],
)  # fmt: skip
def test_resolv_conf(spec, expected):
    assert resolv.resolv_conf(pod_object(spec={"dnsPolicy": "ClusterFirst", **spec}), CLUSTER, HOST) == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        pytest.param("nameserver\t192.0.2.53\nsearch\tcorp.example\t lab.example\n", "search corp.example lab.example\nnameserver 192.0.2.53\n",
                     id="tabs"),
        pytest.param("  nameserver  192.0.2.53  \r\n\tsearch corp.example\r\n", "search corp.example\nnameserver 192.0.2.53\n",
                     id="indented, ends of lines of another system"),
        pytest.param("# nameserver 192.0.2.1\n;nameserver 192.0.2.2\n  # search x\nnameserver 192.0.2.53\n", "nameserver 192.0.2.53\n",
                     id="comments"),
        pytest.param("nameserver 192.0.2.53 # ours\nnameserver 192.0.2.54;theirs\nsearch a.example # b.example\noptions rotate ; edns0",
                     "search a.example\nnameserver 192.0.2.53\nnameserver 192.0.2.54\noptions rotate\n", id="comments at the end"),
        pytest.param("search corp.example. . lab.example\n", "search corp.example lab.example\n", id="trailing dots"),
        pytest.param("domain corp.example more\n", "search corp.example\n", id="domain"),
        pytest.param("search a.example b.example\ndomain c.example\n", "search c.example\n", id="domain after search"),
        pytest.param("domain c.example\nsearch a.example\nsearch b.example\n", "search b.example\n", id="the last search holds"),
        pytest.param("options ndots:1 edns0\noptions ndots:3\noptions\n", "options ndots:3 edns0\n", id="options add up"),
        pytest.param("nameserver fe80::1%eth0\nnameserver ::1\n", "nameserver fe80::1%eth0\nnameserver ::1\n", id="a scope"),
        pytest.param("nameserver\nnameserver dns.example\nnameserver 192.0.2.53 192.0.2.54\nnameserver 192.0.2.53\n", "nameserver 192.0.2.53\n",
                     id="no address, more than one, the same one again"),
        pytest.param("sortlist 192.0.2.0/24\nnameservers 192.0.2.1\n\x00\ufffd\n", "\n", id="other words"),
        pytest.param("", "\n", id="no file"),
    ],
)  # fmt: skip
def test_the_hosts_resolv_conf_is_read_as_its_own_programs_do(host, expected):
    assert resolv.resolv_conf(pod_object(spec={"dnsPolicy": "Default"}), CLUSTER, host) == expected
    assert list(dict.fromkeys(resolv.nameservers(host))) == resolv.nameservers(expected)


def test_a_host_without_a_resolv_conf_that_can_be_read_has_no_resolvers(tmp_path):
    (tmp_path / "odd").write_bytes(b"search caf\xe9\nnameserver 192.0.2.53\n")
    assert resolv.nameservers(resolv_conf(tmp_path / "odd")) == ["192.0.2.53"]
    assert [resolv_conf(file) for file in (tmp_path, tmp_path / "none")] == ["", ""]


def test_a_search_list_is_cut_where_the_kubelet_cuts_it():
    many = [f"{number}.{'x' * 60}.example" for number in range(40)]
    (line,) = [line for line in resolv.render([], [*many[:1], *many], []).splitlines() if line.startswith("search")]
    assert line.removeprefix("search ").split() == many[:28]
    assert resolv.render([], [f"{n}.example" for n in range(40)], []).count("example") == 32


def test_hosts_and_names():
    pod = pod_object("db-0", spec={"subdomain": "db", "hostAliases": [{"ip": "1.2.3.4", "hostnames": ["a", "b"]}]})
    text = resolv.hosts(pod, ("10.244.0.5",), CLUSTER)
    assert "10.244.0.5\tdb-0.db.default.svc.cluster.local\tdb-0\n" in text
    assert text.endswith("1.2.3.4\ta\tb\n")
    assert resolv.pod_hostname(pod_object("a" * 70)) == "a" * 63


def test_environment_of_a_container():
    container = {
        "env": [
            {"name": "A", "value": "1"}, {"name": "B", "value": "$(A)-$(C)"}, {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "L", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
            {"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "nonsense"}}},
            {"name": "K", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}, {"name": "S", "valueFrom": {"secretKeyRef": {"name": "none", "key": "k", "optional": True}}},
        ],
        "command": ["echo", "$(A)"], "args": ["$(IP)"],
    }  # fmt: skip
    services = [service_object("my-db", clusterIP="10.96.0.9"), service_object("none", clusterIP="None")]
    sources = Sources(pod_object(), ("10.0.0.1",), lambda _: {"data": {"k": "v"}}, lambda _: None)
    env = environment(container, sources, services=services, base={})
    assert env["B"] == "1-$(C)"
    assert (env["IP"], env["L"], env["K"]) == ("10.0.0.1", "web", "v")
    assert env["MY_DB_SERVICE_HOST"] == "10.96.0.9"
    assert "X" not in env
    assert "S" not in env
    assert command_of(container, env) == (("echo", "1"), ("10.0.0.1",))
    assert expand("$$(A)", env) == "$(A)"
    alone = Sources(pod_object(spec={"enableServiceLinks": False}), (), lambda _: None, lambda _: None)
    assert "MY_DB_PORT" not in environment({}, alone, services=services, base={})


def state(phase, code=0, name="c", **more):
    return ContainerState(name, "i", phase, exit_code=code, **more)


def seen(states, init=(), ips=("10.0.0.1",)):
    return Seen(ips, plugged=True, init={s.name: s for s in init}, containers={s.name: s for s in states})


def a_pod(*, policy="Always", init=(), containers=("c",)):
    return pod_object(
        spec={
            "restartPolicy": policy,
            "containers": [{"name": at, "image": "i"} for at in containers],
            "initContainers": [{"name": at, "image": "i"} for at in init],
        },
        status={},
    )


@pytest.mark.parametrize(
    ("policy", "states", "phase"),
    [
        ("Always", [state("waiting")], "Pending"),
        ("Always", [state("running", ready=True)], "Running"),
        ("Always", [state("terminated", 1)], "Running"),
        ("Never", [state("terminated", 1)], "Failed"),
        ("Never", [state("terminated", 0)], "Succeeded"),
        ("OnFailure", [state("terminated", 0), state("terminated", 0, "d")], "Succeeded"),
        ("OnFailure", [state("terminated", 1)], "Running"),
    ],
)
def test_phases(policy, states, phase):
    pod = a_pod(policy=policy, containers=[s.name for s in states])
    assert pod_status(pod, seen(states), "172.18.0.2", 0)["phase"] == phase


def test_status_keeps_transition_times_and_tells_what_happened():
    pod = a_pod(init=["i"])
    now = seen([state("running", ready=True)], [state("terminated", name="i")])
    first = pod_status(pod, now, "h", 0)
    assert pod_status({**pod, "status": first}, now, "h", 100) == first
    assert first["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 0
    assert (first["podIP"], first["hostIP"]) == ("10.0.0.1", "h")
    failed = pod_status(a_pod(policy="Never", init=["i"]), seen([], [state("terminated", 1, "i")], ips=()), "h", 0)
    assert (failed["phase"], "podIP" in failed) == ("Failed", False)
    assert {c["type"]: c["status"] for c in failed["conditions"]}["Initialized"] == "False"
    killed = container_status(state("terminated", -9, last=(("exitCode", 1),)))
    assert killed["state"]["terminated"]["exitCode"] == 137
    assert killed["lastState"] == {"terminated": {"exitCode": 1}}
    waiting = container_status(state("waiting", reason="ImagePullBackOff", message="why"))
    assert waiting["state"]["waiting"] == {"reason": "ImagePullBackOff", "message": "why"}


def test_restarts_back_off():
    assert [backoff_s(n) for n in (0, 1, 2, 9)] == [0, 10, 20, 300]
    assert should_restart("OnFailure", 1)
    assert not should_restart("Never", 1)


def test_ports_of_probes():
    container = {"ports": [{"name": "web", "containerPort": 8080}]}
    assert [port_number(p, container) for p in (1, "web", "81", "none")] == [1, 8080, 81, 0]


def test_addresses_of_pods():
    with pytest.raises(ConflictError):
        pod_address("10.0.0.0/30", {"10.0.0.2"})
    node = cluster_spec().nodes[0]
    assert pod_addresses(node, ("10.244.0.9",), {"10.244.0.2"}) == ("10.244.0.9",), "the one it had"
    assert pod_addresses(node, ("10.244.0.9",), {"10.244.0.9"}) == ("10.244.0.2",), "another Pod has it"
    assert pod_addresses(node, ("192.0.2.9",), {"10.244.0.2"}) == ("10.244.0.3",), "not of its node"
    link = pod_link("web-1", "uid", ("10.244.0.5",), node)
    assert (link.namespace, link.addresses) == ("web-1", (("10.244.0.5", "10.244.0.1"),))


def test_what_pauses_says_so_and_stays():
    program = "from netproxy.kubelet.netexec import pause; pause()"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as paused:
        assert paused.stdout.readline() == b"Paused\n"
        assert paused.poll() is None
        paused.kill()


def test_a_server_asks_another_one():
    with ThreadingHTTPServer(("127.0.0.1", 0), netexec.HANDLERS["netexec"]) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_port
        here = {"host": "127.0.0.1", "port": str(port)}
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 0))
            nobody = str(free.getsockname()[1])
        answers = [
            netexec._dialled(query)
            for query in ({**here, "request": "echo?msg=hi", "tries": "2"}, here, {**here, "port": nobody, "protocol": "udp"}, {"host": "x"})
        ]  # fmt: skip
        server.shutdown()
    found = [(code, json.loads(text)) for code, text in answers[:3]]
    assert found[0] == (200, {"responses": ["hi", "hi"]})
    assert found[1] == (200, {"responses": [socket.gethostname()]})
    assert list(found[2][1]) == ["errors"]
    assert answers[3][0] == 400
