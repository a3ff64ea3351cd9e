"""A very small kube-proxy: programs every Service that is labelled for it, with python-iptables, on one node.

Run it on a node: sudo netproxy lab exec 04 node1 -- python program.py
"""

import json
import subprocess

import iptc

PODS = "10.244.0.0/16"
MINE = "service.kubernetes.io/service-proxy-name=by-hand"


def objects(kind: str, selector: str) -> list[dict]:
    text = subprocess.run(
        ["netproxy", "get", kind, "-l", selector, "-o", "json"], check=True, capture_output=True
    ).stdout
    return json.loads(text)["items"]


def rule(
    target: str, *, source: str = "", destination: str = "", port: str = "", share: float = 0, **options: str
) -> iptc.Rule:
    made = iptc.Rule()
    if source:
        made.src = source
    if destination:
        made.dst = destination
    if port or target == "DNAT":
        made.protocol = "tcp"
    if port:
        made.create_match("tcp").dport = port
    if share:
        statistic = made.create_match("statistic")
        statistic.mode, statistic.probability = "random", str(share)
    chosen = made.create_target(target)
    for name, value in options.items():
        setattr(chosen, name, value)
    return made


def chain(table: iptc.Table, name: str) -> iptc.Chain:
    """An empty chain of this name."""
    if table.is_chain(name):
        iptc.Chain(table, name).flush()
        return iptc.Chain(table, name)
    return table.create_chain(name)


def program(table: iptc.Table, dispatch: iptc.Chain, service: dict) -> None:
    name, spec = service["metadata"]["name"], service["spec"]
    slices = objects("endpointslices", f"kubernetes.io/service-name={name}")
    endpoints = [(e["addresses"][0], s["ports"][0]["port"]) for s in slices for e in s["endpoints"]]
    spread = chain(table, f"MY-SVC-{name}")
    spread.append_rule(rule("MY-MARK-MASQ", source=f"!{PODS}"))  # nor would another node's Pod answer through this one
    for at, (address, port) in enumerate(endpoints):
        one = chain(table, f"MY-SEP-{name}-{at}")
        one.append_rule(rule("MY-MARK-MASQ", source=address))  # it calls itself: the answer must come back here
        one.append_rule(rule("DNAT", to_destination=f"{address}:{port}"))
        left = len(endpoints) - at
        spread.append_rule(rule(one.name, share=1 / left if left > 1 else 0))
    dispatch.append_rule(rule(spread.name, destination=spec["clusterIP"], port=str(spec["ports"][0]["port"])))


def main() -> None:
    table = iptc.Table(iptc.Table.NAT)
    mark = chain(table, "MY-MARK-MASQ")
    mark.append_rule(rule("MARK", set_xmark="0x1000/0x1000"))
    dispatch = chain(table, "MY-SERVICES")
    for service in objects("services", MINE):
        program(table, dispatch, service)
    leaving = rule("MASQUERADE")
    leaving.create_match("mark").mark = "0x1000/0x1000"
    hooks = {"PREROUTING": rule(dispatch.name), "OUTPUT": rule(dispatch.name), "POSTROUTING": leaving}
    for hook, wanted in hooks.items():
        if wanted not in iptc.Chain(table, hook).rules:
            iptc.Chain(table, hook).insert_rule(wanted)


main()
