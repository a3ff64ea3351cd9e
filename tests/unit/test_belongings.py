"""What every Namespace has: the default ServiceAccount, and the certificate of the API."""

from support.world import World

from netproxy.controllers.belongings import DESCRIPTION, ROOT_CA, SERVICE_ACCOUNT_CONTROLLER, root_ca_publisher
from netproxy.core.names import NamespacedName
from netproxy.objects.change import Delete, Event
from netproxy.objects.kinds import CONFIG_MAPS, NAMESPACES, SERVICE_ACCOUNTS

PUBLISHER = root_ca_publisher("PEM")
SHOP = NamespacedName("", "shop")
ACCOUNT, CONFIG = NamespacedName("shop", "default"), NamespacedName("shop", ROOT_CA)


def space(**metadata):
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", **metadata}}


def test_a_namespace_has_an_account_and_a_certificate_and_then_nothing_is_done():
    world = World(space())
    assert world.settle(SERVICE_ACCOUNT_CONTROLLER, PUBLISHER) == 2
    assert world.find(SERVICE_ACCOUNTS, ACCOUNT) is not None
    assert world.find(CONFIG_MAPS, CONFIG)["data"] == {"ca.crt": "PEM"}
    assert world.find(CONFIG_MAPS, CONFIG)["metadata"]["annotations"][DESCRIPTION].startswith("Contains a CA bundle")
    assert world.settle(SERVICE_ACCOUNT_CONTROLLER, PUBLISHER) == 0


def test_what_is_taken_away_comes_back():
    world = World(space())
    world.settle(SERVICE_ACCOUNT_CONTROLLER, PUBLISHER)
    world.remove(SERVICE_ACCOUNTS, ACCOUNT)
    world.remove(CONFIG_MAPS, CONFIG)
    assert world.settle(SERVICE_ACCOUNT_CONTROLLER, PUBLISHER) == 2
    assert world.find(SERVICE_ACCOUNTS, ACCOUNT)
    assert world.find(CONFIG_MAPS, CONFIG)


def test_a_certificate_that_somebody_changed_is_put_right_and_the_rest_of_the_object_stays():
    world = World(space())
    world.settle(PUBLISHER)
    changed = world.find(CONFIG_MAPS, CONFIG)
    for change in (
        {"data": {"ca.crt": "theirs"}},
        {"data": {"ca.crt": "PEM", "more": "theirs"}},
        {"metadata": {**changed["metadata"], "annotations": {"mine": "stays"}}},
    ):
        world.put({**changed, **change})
        assert world.settle(PUBLISHER) == 1
        now = world.find(CONFIG_MAPS, CONFIG)
        assert now["data"] == {"ca.crt": "PEM"}
        assert now["metadata"]["annotations"][DESCRIPTION]
    assert now["metadata"]["annotations"]["mine"] == "stays"


def test_an_account_that_is_there_is_its_owners():
    mine = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "shop"},
            "automountServiceAccountToken": False}  # fmt: skip
    world = World(space(), mine)
    assert world.settle(SERVICE_ACCOUNT_CONTROLLER) == 0
    assert world.find(SERVICE_ACCOUNTS, ACCOUNT)["automountServiceAccountToken"] is False


def test_nothing_is_made_in_a_namespace_that_goes_or_is_gone():
    leaving = World(space(finalizers=["example.com/stays"]))
    leaving.make(Delete(NAMESPACES, SHOP))
    assert leaving.find(NAMESPACES, SHOP)["metadata"]["deletionTimestamp"]
    for world in (leaving, World()):
        for controller in (SERVICE_ACCOUNT_CONTROLLER, PUBLISHER):
            assert world.look(controller, SHOP).changes == ()


def test_who_is_looked_at():
    gone = Event("DELETED", space(), None, NAMESPACES)
    other = {"kind": "ServiceAccount", "metadata": {"name": "builder", "namespace": "shop"}}
    for controller, resource, wanted in (
        (SERVICE_ACCOUNT_CONTROLLER, SERVICE_ACCOUNTS, "default"), (PUBLISHER, CONFIG_MAPS, ROOT_CA),
    ):  # fmt: skip
        assert not controller.watches[NAMESPACES](None, gone)
        assert not controller.watches[resource](None, Event("DELETED", other, None, resource))
        ours = {"metadata": {"name": wanted, "namespace": "shop"}}
        assert list(controller.watches[resource](None, Event("DELETED", ours, None, resource))) == [SHOP]
