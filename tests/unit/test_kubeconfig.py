"""How to reach an API server and as whom: kubeconfig files, a Pod's service account, credentials that are renewed."""

import asyncio
import base64
import json
import os
from pathlib import Path

import pytest
import yaml
from support.build import FixedClock

from netproxy.client.credentials import Credentials, Identity, run_program
from netproxy.client.kubeconfig import Connection, Password, Plugin, Token, TokenFile, in_cluster, load
from netproxy.core.errors import KernelError, ManifestError, UnavailableError

PEM = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
DATA = base64.b64encode(PEM).decode()
SERVER = "https://10.0.0.1:6443"


def a_config(cluster=None, user=None, **more):
    """A kubeconfig with one context, `dev`."""
    return {
        "apiVersion": "v1", "kind": "Config", "current-context": "dev",
        "clusters": [{"name": "c", "cluster": {"server": SERVER, **(cluster or {})}}],
        "users": [{"name": "u", "user": user or {}}],
        "contexts": [{"name": "dev", "context": {"cluster": "c", "user": "u"}}], **more,
    }  # fmt: skip


def written(path, config):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(config if isinstance(config, str) else yaml.safe_dump(config))
    return path


def loaded(tmp_path, cluster=None, user=None, **more) -> Connection:
    return load(written(tmp_path / "config", a_config(cluster, user, **more)))


@pytest.fixture
def files(tmp_path):
    """Files that a kubeconfig in the same folder may name."""
    (tmp_path / "pki").mkdir()
    for name in ("ca.crt", "me.crt", "me.key"):
        (tmp_path / "pki" / name).write_bytes(PEM)
    (tmp_path / "pki" / "token").write_text("secret\n")
    return tmp_path / "pki"


# --- what is understood


@pytest.mark.parametrize(("cluster", "user", "expected"), [
    pytest.param({}, {}, {}, id="only a server"),
    pytest.param({"server": "10.0.0.1:6443/"}, {}, {}, id="a server without a scheme"),
    pytest.param({"server": "https://[fd00::1]:6443/k8s/clusters/c-1"}, {}, {"server": "https://[fd00::1]:6443/k8s/clusters/c-1"},
                 id="a server below a path"),
    pytest.param({"certificate-authority-data": DATA}, {}, {"ca": PEM}, id="the authority itself"),
    pytest.param({"insecure-skip-tls-verify": True}, {}, {"insecure": True}, id="whatever certificate"),
    pytest.param({"tls-server-name": "kubernetes"}, {}, {"server_name": "kubernetes"}, id="another name"),
    pytest.param({"proxy-url": "http://proxy:3128"}, {}, {"proxy_url": "http://proxy:3128"}, id="a proxy"),
    pytest.param({}, {"client-certificate-data": DATA, "client-key-data": DATA},
                 {"client_certificate": PEM, "client_key": PEM}, id="a client certificate itself"),
    pytest.param({}, {"token": "t"}, {"credential": Token("t")}, id="a token"),
    pytest.param({}, {"username": "a", "password": "b"}, {"credential": Password("a", "b")}, id="a password"),
    pytest.param({}, {"as": "jane", "as-groups": ["dev", "ops"], "as-uid": "7", "as-user-extra": {"scope": ["x"]}},
                 {"headers": (("Impersonate-User", "jane"), ("Impersonate-Uid", "7"), ("Impersonate-Group", "dev"),
                              ("Impersonate-Group", "ops"), ("Impersonate-Extra-scope", "x"))}, id="as somebody else"),
])  # fmt: skip
def test_what_a_context_says(cluster, user, expected, tmp_path):
    usual = {"server": SERVER, "source": str(tmp_path / "config")}
    assert loaded(tmp_path, cluster, user) == Connection(**{**usual, **expected})


def test_files_are_named_from_where_the_kubeconfig_is(tmp_path, files, monkeypatch):
    monkeypatch.chdir("/")
    found = loaded(tmp_path, {"certificate-authority": "pki/ca.crt"},
                   {"client-certificate": "pki/me.crt", "client-key": str(files / "me.key"), "tokenFile": "pki/token"})  # fmt: skip
    assert (found.ca, found.client_certificate, found.client_key) == (
        files / "ca.crt",
        files / "me.crt",
        files / "me.key",
    )
    assert found.credential == TokenFile(files / "token")


def test_data_wins_over_a_file_and_a_token_file_over_a_token(tmp_path, files):
    found = loaded(tmp_path, {"certificate-authority": "pki/ca.crt", "certificate-authority-data": DATA},
                   {"token": "old", "tokenFile": "pki/token"})  # fmt: skip
    assert found.ca == PEM
    assert found.credential == TokenFile(files / "token")


def test_a_plugin(tmp_path):
    given = {"apiVersion": "client.authentication.k8s.io/v1", "command": "bin/login", "args": ["--quiet"],
             "env": [{"name": "REGION", "value": "eu"}, {"name": "EMPTY"}], "installHint": "apt install login",
             "interactiveMode": "IfAvailable", "provideClusterInfo": True}  # fmt: skip
    extension = [
        {"name": "client.authentication.k8s.io/exec", "extension": {"audience": "x"}},
        {"name": "other", "extension": 1},
    ]
    (tmp_path / "ca.crt").write_bytes(PEM)
    found = loaded(tmp_path, {"certificate-authority": "ca.crt", "extensions": extension}, {"exec": given}).credential
    assert found == Plugin(
        "client.authentication.k8s.io/v1", (str(tmp_path / "bin/login"), "--quiet"), (("REGION", "eu"), ("EMPTY", "")),
        "apt install login", {"server": SERVER, "certificate-authority-data": DATA, "config": {"audience": "x"}},
    )  # fmt: skip
    on_path = loaded(
        tmp_path, {}, {"exec": {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": "login"}}
    ).credential
    assert on_path == Plugin("client.authentication.k8s.io/v1beta1", ("login",))


def test_another_context_and_its_namespace(tmp_path):
    config = a_config(contexts=[{"name": "dev", "context": {"cluster": "c", "user": "u"}},
                                {"name": "ops", "context": {"cluster": "c", "namespace": "shop"}}])  # fmt: skip
    path = written(tmp_path / "config", config)
    assert load(path).namespace == "default"
    assert load(path, context="ops").namespace == "shop"
    assert load(path, context="ops").credential is None


# --- where it is looked for


def test_files_of_the_environment_are_one_the_first_wins(tmp_path):
    one = written(tmp_path / "one", {"clusters": [{"name": "c", "cluster": {"server": "https://one"}}]})
    two = written(tmp_path / "deep" / "two", a_config(None, {"client-certificate": "x.crt", "client-key": "x.key"}))
    for name in ("x.crt", "x.key"):
        (tmp_path / "deep" / name).write_bytes(PEM)
    found = load(environ={"KUBECONFIG": f"{tmp_path}/missing:{one}::{two}", "HOME": str(tmp_path)})
    assert (found.server, found.client_key) == ("https://one", tmp_path / "deep" / "x.key")


def test_without_a_word_it_is_the_file_at_home_or_the_pods_own(tmp_path):
    account = tmp_path / "account"
    account.mkdir()
    (account / "token").write_text("t")
    (account / "ca.crt").write_bytes(PEM)
    pod = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443", "HOME": str(tmp_path)}
    found = load(environ=pod, service_account=account)
    assert (found.server, found.ca, found.credential) == (
        "https://[fd00::1]:443",
        account / "ca.crt",
        TokenFile(account / "token"),
    )
    assert found.namespace == "default"
    (account / "namespace").write_text("shop\n")
    assert in_cluster(pod, account).namespace == "shop"
    written(tmp_path / ".kube" / "config", a_config())
    assert load(environ=pod, service_account=account).server == SERVER


@pytest.mark.parametrize(("environ", "says"), [
    pytest.param({}, r"--kubeconfig: Required value: .*name a file", id="nothing"),
    pytest.param({"KUBECONFIG": "/no/where:/no/body"}, r'KUBECONFIG: Invalid value: "/no/where:/no/body": none of these files exists', id="files that are not there"),
    pytest.param({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, r"service account: file: .*token.*is not there; give the Pod", id="a Pod without an account"),
    pytest.param({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "https"}, r"10.0.0.1:https.*is no server", id="a port that is none"),
])  # fmt: skip
def test_nowhere_to_be_found(environ, says, tmp_path):
    with pytest.raises(ManifestError, match=says):
        load(environ=environ, service_account=tmp_path)


# --- mistakes


@pytest.mark.parametrize(("cluster", "user", "says"), [
    pytest.param({"server": ""}, {}, r"clusters\[c\].cluster.server: Required value: the URL", id="no server"),
    pytest.param({"server": "ftp://x"}, {}, r'server: Invalid value: "ftp://x": must be a URL', id="another scheme"),
    pytest.param({"server": "https://x:port"}, {}, r"must be a URL: https://host:port", id="a port that is none"),
    pytest.param({"server": 5}, {}, r'server: Invalid value: "5": must be a string: put it in quotes', id="a number"),
    pytest.param({"certificate-authority": "gone.crt"}, {}, r"certificate-authority: .*gone.crt.*cannot be read: No such file", id="a file that is gone"),
    pytest.param({"certificate-authority": "config"}, {}, r"certificate-authority: .*is no PEM file", id="a file of another kind"),
    pytest.param({"certificate-authority-data": "%%%"}, {}, r"certificate-authority-data: .*must be a PEM block in base64", id="no base64"),
    pytest.param({"certificate-authority-data": "AAAA"}, {}, r"certificate-authority-data: .*must be a PEM block", id="no PEM"),
    pytest.param({"certificate-authority-data": DATA, "insecure-skip-tls-verify": True}, {}, r"cannot be true beside a certificate-authority", id="an authority that nobody asks"),
    pytest.param({"insecure-skip-tls-verify": "yes"}, {}, r'"yes": must be true or false', id="a word for a flag"),
    pytest.param({"proxy-url": "socks5://x"}, {}, r"proxy-url: .*only proxies that speak HTTP", id="a proxy of another kind"),
    pytest.param({}, {"client-certificate-data": DATA}, r"users\[u\].user.client-key: Required value", id="a certificate without its key"),
    pytest.param({}, {"client-key-data": DATA}, r"client-certificate: Required value", id="a key without its certificate"),
    pytest.param({}, {"token": "t", "username": "a"}, r"username: .*there is a token, too", id="two ways at once"),
    pytest.param({}, {"tokenFile": "gone"}, r"tokenFile: .*is not there", id="a token that is not there"),
    pytest.param({}, {"auth-provider": {"name": "gcp"}}, r"auth-provider: is gone since Kubernetes 1.26", id="a provider of old"),
    pytest.param({}, {"as-groups": ["dev"]}, r"user.as: Required value", id="groups of nobody"),
    pytest.param({}, {"as": "jane", "as-groups": "dev"}, r"as-groups: .*must be a list of strings", id="a word for a list"),
    pytest.param({}, {"exec": {"apiVersion": "v1alpha1", "command": "x"}}, r"exec.apiVersion: .*must be one of", id="a plugin of old"),
    pytest.param({}, {"exec": {"apiVersion": "client.authentication.k8s.io/v1"}}, r"exec.command: Required value", id="a plugin without a program"),
    pytest.param({}, {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "x", "interactiveMode": "Always"}}, r"there is nobody to ask", id="a plugin that asks"),
    pytest.param({}, {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "x", "env": ["A=b"]}}, r"exec.env: .*must be a list of", id="an environment of another form"),
    pytest.param({}, {"exec": ["login"]}, r"user.exec: .*must be a mapping", id="a plugin of another form"),
])  # fmt: skip
def test_a_mistake_names_file_field_and_the_way_out(cluster, user, says, tmp_path):
    with pytest.raises(ManifestError, match=says) as raised:
        loaded(tmp_path, cluster, user)
    assert str(raised.value).startswith(f"{tmp_path}/config: ")


def test_all_mistakes_are_told_and_each_once(tmp_path):
    user = {"token": "t", "username": "a", "client-key-data": "%", "exec": {"command": ""}}
    with pytest.raises(ManifestError) as raised:
        loaded(tmp_path, {"server": "", "proxy-url": "x://"}, user)
    paths = [problem.path for problem in raised.value.problems]
    assert sorted(paths) == ["clusters[c].cluster.proxy-url", "clusters[c].cluster.server",
                             "users[u].user.client-key-data", "users[u].user.username"]  # fmt: skip


@pytest.mark.parametrize(("text", "context", "says"), [
    pytest.param("[", "", r"config: line 2, column 1: did not find expected node content", id="no YAML"),
    pytest.param("- a", "", r"kind: must be Config", id="a list"),
    pytest.param("kind: Pod", "", r"kind: must be Config", id="a Pod"),
    pytest.param("kind: Config", "", r"current-context: Required value: choose one with --context \(there are no contexts\)", id="no contexts"),
    pytest.param(yaml.safe_dump(a_config(**{"current-context": ""})), "", r"--context \(contexts there: dev\)", id="no current one"),
    pytest.param(yaml.safe_dump(a_config()), "prod", r'--context: Invalid value: "prod": there is no context of this name; contexts there: dev', id="another name"),
    pytest.param(yaml.safe_dump(a_config(clusters=[])), "", r'contexts\[dev\].context.cluster: Invalid value: "c": there is no cluster', id="a cluster that is not there"),
    pytest.param(yaml.safe_dump(a_config(users="nobody")), "", r'contexts\[dev\].context.user: Invalid value: "u": there is no user', id="a user that is not there"),
])  # fmt: skip
def test_a_file_that_makes_no_sense(text, context, says, tmp_path):
    path = written(tmp_path / "config", text)
    with pytest.raises(ManifestError, match=says) as raised:
        load(path, context=context)
    assert str(path) in str(raised.value)


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(ManifestError, match="cannot be read: No such file or directory; name another file"):
        load(tmp_path / "gone")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ManifestError, match="is not UTF-16 text"):
        load(tmp_path / "binary")


# --- credentials


def now(credentials) -> Identity:
    return asyncio.run(credentials.current())


def of(connection, run=run_program, clock=None):
    return Credentials(connection, clock=clock or FixedClock(), run=run)


def test_constant_credentials():
    assert now(of(Connection(SERVER))) == Identity()
    assert now(of(Connection(SERVER, credential=Token("t")))).authorization == "Bearer t"
    assert now(of(Connection(SERVER, credential=Password("a", "b:c")))).authorization == "Basic YTpiOmM="
    assert now(of(Connection(SERVER, client_certificate=b"C", client_key=b"K"))) == Identity("", b"C", b"K")


def test_files_are_read_again_when_they_change_and_may_be_away_for_a_moment(tmp_path):
    token, certificate = tmp_path / "token", tmp_path / "crt"
    token.write_text("one\n")
    certificate.write_bytes(b"C1")
    credentials = of(Connection(SERVER, credential=TokenFile(token), client_certificate=certificate, client_key=b"K"))
    assert now(credentials) == Identity("Bearer one", b"C1", b"K")
    fresh = tmp_path / "fresh"
    fresh.write_text("two")
    os.replace(fresh, token)
    certificate.write_bytes(b"C2")
    os.utime(certificate, ns=(1, 1))
    assert now(credentials) == Identity("Bearer two", b"C2", b"K")
    token.unlink()
    credentials.refused(now(credentials))
    assert now(credentials).authorization == "Bearer two"


def test_a_token_that_was_never_there(tmp_path):
    with pytest.raises(UnavailableError, match="gone: No such file"):
        now(of(Connection(SERVER, credential=TokenFile(tmp_path / "gone"))))


class Program:
    """A plugin: it answers with the next of its answers, and notes what it was asked."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    def __call__(self, argv, env):
        self.asked.append((argv, env))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, str) else json.dumps(answer)


V1 = "client.authentication.k8s.io/v1"


def an_answer(**status):
    return {"kind": "ExecCredential", "apiVersion": V1, "status": status}


def with_plugin(program, clock=None, **more):
    plugin = Plugin(V1, ("login", "-q"), (("A", "b"),), "apt install login", more.pop("told", None))
    return of(Connection(SERVER, credential=plugin, **more), program, clock)


def test_a_plugin_is_asked_once_and_again_when_its_answer_expires():
    clock = FixedClock()
    program = Program(an_answer(token="one", expirationTimestamp="1970-01-12T13:46:41Z"), an_answer(token="two"))
    credentials = with_plugin(program, clock, told={"server": SERVER})

    async def ask():
        first = await asyncio.gather(credentials.current(), credentials.current())
        clock.time += 1
        return [*first, await credentials.current(), await credentials.current()]

    assert [i.authorization for i in asyncio.run(ask())] == ["Bearer one", "Bearer one", "Bearer two", "Bearer two"]
    argv, env = program.asked[0]
    assert (argv, env["A"]) == (("login", "-q"), "b")
    assert json.loads(env["KUBERNETES_EXEC_INFO"]) == {
        "kind": "ExecCredential", "apiVersion": V1, "spec": {"interactive": False, "cluster": {"server": SERVER}}}  # fmt: skip


def test_a_plugin_is_asked_again_when_its_answer_is_refused():
    program = Program(an_answer(token="one"), an_answer(token="two"))
    credentials = with_plugin(program)

    async def ask():
        old = await credentials.current()
        credentials.refused(old)
        new = await credentials.current()
        credentials.refused(old)  # somebody else's request, sent before
        return [old, new, await credentials.current()]

    assert [i.authorization for i in asyncio.run(ask())] == ["Bearer one", "Bearer two", "Bearer two"]


def test_a_plugin_may_give_a_certificate_instead():
    program = Program(an_answer(clientCertificateData="C", clientKeyData="K"), an_answer(token="t"))
    assert now(with_plugin(program, client_certificate=b"X", client_key=b"Y")) == Identity("", b"C", b"K")
    assert now(with_plugin(program, client_certificate=b"X", client_key=b"Y")) == Identity("Bearer t", b"X", b"Y")


@pytest.mark.parametrize(("answer", "says"), [
    pytest.param(KernelError("login is not installed"), "no credentials from login: login is not installed\napt install login", id="it fails"),
    pytest.param("not JSON", "no credentials from login: ", id="no JSON"),
    pytest.param([], "no credentials from login: its answer lacks", id="a list"),
    pytest.param({"kind": "ExecCredential", "apiVersion": V1}, "its answer lacks 'status'", id="no status"),
    pytest.param({"kind": "ExecCredential", "apiVersion": "v0"}, "it answered with v0 ExecCredential", id="another version"),
    pytest.param(an_answer(), "there is neither a token nor a certificate", id="nothing in it"),
    pytest.param(an_answer(clientCertificateData="C"), "there is neither a token nor a certificate", id="a certificate without its key"),
    pytest.param(an_answer(token="t", expirationTimestamp="tomorrow"), "Invalid isoformat", id="a time that is none"),
])  # fmt: skip
def test_a_plugin_that_does_not_help(answer, says):
    with pytest.raises(UnavailableError, match=says):
        now(with_plugin(Program(answer)))


def test_a_program_is_really_run(tmp_path):
    program = tmp_path / "login"
    program.write_text(
        '#!/bin/sh\nread x; printf \'{"kind":"ExecCredential","apiVersion":"%s","status":{"token":"%s"}}\' "$1" "$A"\n'
    )
    program.chmod(0o755)
    plugin = Plugin(V1, (str(program), V1), (("A", "b"),))
    assert now(of(Connection(SERVER, credential=plugin))).authorization == "Bearer b"
    with pytest.raises(UnavailableError, match="is not installed"):
        now(of(Connection(SERVER, credential=Plugin(V1, (str(Path(tmp_path) / "gone"),)))))
