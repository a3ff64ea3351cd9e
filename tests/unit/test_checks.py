"""What a look at the kernel costs: nothing is read that is known, and nothing that cannot be told from a transaction of ours."""

from support.build import a_node, a_service, a_snapshot

from netproxy.core.net import Family
from netproxy.linux.fake import FakeHost, FakeKernel
from netproxy.nodeproxy.choice import Choice
from netproxy.nodeproxy.family import FamilyProxy
from netproxy.nodeproxy.modes.nftables import NftablesMode
from netproxy.proxy.nftables_table import TABLE


def test_a_look_in_the_middle_of_the_other_familys_transaction_waits_for_the_next():
    kernel = FakeKernel()
    mode = NftablesMode(a_node(), FakeHost(kernel, Family.IPV4))
    snapshot = a_snapshot(a_service("10.244.0.5"))
    mode.sync(snapshot, check=False)
    written = kernel.tables.pop((Family.IPV4, TABLE))
    kernel.strangers = None
    assert mode.sync(snapshot, check=True) == 0
    kernel.strangers = 1
    assert mode.sync(snapshot, check=True) > 0
    assert kernel.tables[Family.IPV4, TABLE] == written


def test_what_other_modes_left_is_looked_for_while_there_is_little_to_read():
    kernel = FakeKernel()
    host = FakeHost(kernel, Family.IPV4)
    read_beside_ours = []
    read = host.iptables.read

    def noted():
        read_beside_ours.append((Family.IPV4, TABLE) in kernel.tables)
        return read()

    host.iptables.read = noted
    FamilyProxy({"metadata": {"name": "node1"}}, {}, host, choice=Choice("nftables")).sync()
    assert (Family.IPV4, TABLE) in kernel.tables
    assert read_beside_ours == [False]
