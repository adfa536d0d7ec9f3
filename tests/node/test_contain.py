"""Containment of nodes: what is changed, what is proved by reading again, and what release puts back."""

from __future__ import annotations

from activities.doors import Doors
from contracts.states import Containment
from tests.node.incident import Incident
from tests.node.support import Fleet


def test_a_cordoned_node_takes_no_new_pods_until_release(doors: Doors, nodes: Fleet) -> None:
    node = nodes.node()
    before = nodes.summary(node)
    incident = Incident(doors)
    outcome = incident.carry_out("cordon", node)

    assert (outcome.complete, outcome.containment) == (True, Containment.VERIFIED)
    assert nodes.live(node)["spec"]["unschedulable"] is True
    assert any("network stays" in p for p in outcome.proposals)
    assert nodes.summary(node) == before | {"cordoned": True}
    assert not incident.release().kept
    assert nodes.summary(node) == before


def test_a_node_that_somebody_cordoned_stays_theirs(doors: Doors, nodes: Fleet) -> None:
    node = nodes.node()
    nodes.patch(node, {"spec": {"unschedulable": True}})
    incident = Incident(doors)
    assert incident.carry_out("cordon", node).containment is Containment.VERIFIED
    incident.release()
    assert nodes.summary(node)["cordoned"]


def test_the_last_of_two_incidents_uncordons(doors: Doors, nodes: Fleet) -> None:
    node = nodes.node()
    first, second = Incident(doors), Incident(doors)
    first.carry_out("cordon", node)
    second.carry_out("cordon", node)
    assert second.made, "the second incident holds what the first one did"
    first.release()
    assert nodes.summary(node)["cordoned"]
    second.release()
    assert not nodes.summary(node)["cordoned"]


def test_a_node_that_is_gone_proves_nothing(doors: Doors, nodes: Fleet) -> None:
    node = nodes.node()
    nodes.close()
    outcome = Incident(doors).carry_out("cordon", node)
    assert (outcome.complete, outcome.containment) == (True, Containment.NOT_APPLICABLE)
    assert node.name in outcome.summary


def test_another_node_under_the_name_is_left_alone(doors: Doors, nodes: Fleet) -> None:
    node = nodes.node()
    other = nodes.node()
    impostor = node.__class__(other.name, node.uid, node.instance_id)
    outcome = Incident(doors).carry_out("cordon", impostor)
    assert outcome.containment is Containment.NOT_APPLICABLE
    assert not nodes.summary(other)["cordoned"]


def test_protection_covers_kubernetes_ec2_and_the_group_and_is_taken_back(doors: Doors, nodes: Fleet) -> None:
    node = nodes.node()
    before = nodes.summary(node)
    incident = Incident(doors)
    outcome = incident.carry_out("protect", node)

    assert outcome.complete, outcome
    after = nodes.summary(node)
    assert after["annotations"] == {
        "cluster-autoscaler.kubernetes.io/scale-down-disabled": "true",
        "karpenter.sh/do-not-disrupt": "true",
    }
    assert (after["protected"], after["scale-in"], after["tagged"]) == (True, True, True)
    incident.release()
    assert nodes.summary(node) == before


def test_a_protection_that_stood_before_is_not_taken_back(doors: Doors, nodes: Fleet) -> None:
    node = nodes.node()
    nodes.ec2.modify_instance_attribute(InstanceId=node.instance_id, DisableApiTermination={"Value": True})
    incident = Incident(doors)
    incident.carry_out("protect", node)
    incident.release()
    assert nodes.summary(node)["protected"]
    assert not nodes.summary(node)["scale-in"]


def test_a_spot_instance_outside_of_a_group_gets_what_there_is(doors: Doors, nodes: Fleet) -> None:
    node = nodes.node(spot=True, group=False)
    incident = Incident(doors)
    notes = " ".join(incident.plan("protect", node).notes)
    assert "Spot" in notes
    assert "no Auto Scaling group" in notes
    assert incident.carry_out("protect", node).complete
    summary = nodes.summary(node)
    assert (summary["protected"], summary["scale-in"], bool(summary["annotations"])) == (False, False, True)


def test_the_machine_of_another_cluster_is_not_touched(doors: Doors, nodes: Fleet) -> None:
    """Whoever registers a node writes its providerID."""
    node = nodes.node(tagged=False)
    before = nodes.summary(node)
    incident = Incident(doors)
    assert incident.carry_out("protect", node).complete
    outcome = incident.carry_out("isolate", node)
    assert outcome.containment is Containment.INCOMPLETE
    assert any("no tag of the cluster" in r for r in outcome.reasons)
    after = nodes.summary(node)
    assert after == before | {"annotations": after["annotations"]}
    assert incident.plan("terminate", node).blocked


def test_an_isolated_machine_has_no_network_and_gets_it_back(doors: Doors, nodes: Fleet) -> None:
    node = nodes.node()
    extra = nodes.ec2.create_network_interface(SubnetId=nodes.instance(node)["SubnetId"])["NetworkInterface"]
    nodes.ec2.attach_network_interface(
        DeviceIndex=1, InstanceId=node.instance_id, NetworkInterfaceId=extra["NetworkInterfaceId"]
    )
    before = nodes.summary(node)
    incident = Incident(doors)
    outcome = incident.carry_out("isolate", node)

    assert (outcome.complete, outcome.containment) == (True, Containment.VERIFIED), outcome
    interfaces = nodes.instance(node)["NetworkInterfaces"]
    assert nodes.groups_of(node) == ["firebreak-isolation"] * len(interfaces)
    group = nodes.ec2.describe_security_groups(GroupIds=[interfaces[0]["Groups"][0]["GroupId"]])["SecurityGroups"][0]
    assert (group["IpPermissions"], group["IpPermissionsEgress"]) == ([], [])
    incident.release()
    assert nodes.summary(node) == before


def test_rules_in_the_isolation_group_are_seen_and_taken_away(doors: Doors, nodes: Fleet) -> None:
    node = nodes.node()
    incident = Incident(doors)
    incident.carry_out("isolate", node)
    group = nodes.instance(node)["NetworkInterfaces"][0]["Groups"][0]["GroupId"]
    everything = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    nodes.ec2.authorize_security_group_egress(GroupId=group, IpPermissions=everything)
    request = incident.request("isolate", node)
    assert incident.run("isolate", request).containment is Containment.INCOMPLETE
    # Whoever is isolated next finds the group as it must be.
    assert Incident(doors).carry_out("isolate", nodes.node()).containment is Containment.VERIFIED
    assert incident.run("isolate", request).containment is Containment.VERIFIED
    incident.release()
