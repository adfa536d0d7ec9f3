"""The sections of a finding that every shape shares: user, workload, containers, action, attack sequence.

Each function takes the node of one section and returns its model, or None where the finding does not have it.
"""

from __future__ import annotations

from findings.model import (
    AccessKey,
    ApiCall,
    Cluster,
    Container,
    ImpersonatedUser,
    KubernetesUser,
    PermissionCheck,
    Process,
    Role,
    RoleBinding,
    Volume,
    VolumeMount,
    Workload,
    WorkloadKind,
)
from findings.text import FREE, IDENTITY, LONG, NAME, RBAC_NAME
from findings.wire import Node, load_json


def read_cluster(node: Node) -> Cluster | None:
    """``resource.eksClusterDetails``."""
    if not node:
        return None
    return Cluster(name=node.text("name", NAME), arn=node.text("arn"), vpc_id=node.text("vpcId"))


def read_user(node: Node) -> KubernetesUser | None:
    """``resource.kubernetesDetails.kubernetesUserDetails``."""
    if not node:
        return None
    impersonated = node.child("impersonatedUser")
    user = KubernetesUser(
        username=node.text("username", IDENTITY),
        uid=node.text("uid", IDENTITY),
        groups=node.texts("groups", IDENTITY),
        session_names=node.texts("sessionName"),
        impersonated=ImpersonatedUser(username=impersonated.text("username"), groups=impersonated.texts("groups"))
        if impersonated
        else None,
    )
    # ASFF writes every member, with "" and "[]" for what is not there.
    return None if user == KubernetesUser() else user


def read_access_key(node: Node) -> AccessKey | None:
    """``resource.accessKeyDetails``."""
    if not node:
        return None
    return AccessKey(
        access_key_id=node.text("accessKeyId", NAME),
        principal_id=node.text("principalId", IDENTITY),
        user_name=node.text("userName", IDENTITY),
        user_type=node.text("userType"),
    )


def read_workload(node: Node) -> Workload | None:
    """``resource.kubernetesDetails.kubernetesWorkloadDetails``."""
    if not node:
        return None
    type_ = node.text("type")
    workload = Workload(
        name=node.text("name", NAME),
        kind=WorkloadKind.of(type_),
        type=type_,
        uid=node.text("uid", NAME),
        namespace=node.text("namespace", NAME),
        service_account=node.text("serviceAccountName", NAME),
        host_network=node.flag("hostNetwork") or False,
        host_pid=node.flag("hostPID") or False,
        host_ipc=node.flag("hostIPC") or False,
        containers=tuple(read_container(c) for c in node.children("containers")),
        volumes=tuple(
            Volume(name=v.text("name"), host_path=v.child("hostPath").text("path", LONG))
            for v in node.children("volumes")
        ),
    )
    return None if workload == Workload() else workload


def read_container(node: Node) -> Container:
    """A container of a workload, or ``resource.containerDetails``."""
    security = node.child("securityContext")
    return Container(
        name=node.text("name"),
        image=node.text("image"),
        image_prefix=node.text("imagePrefix"),
        id=node.text("id"),
        runtime=node.text("containerRuntime"),
        privileged=security.flag("privileged"),
        allow_privilege_escalation=security.flag("allowPrivilegeEscalation"),
        volume_mounts=tuple(
            VolumeMount(name=m.text("name"), mount_path=m.text("mountPath", LONG))
            for m in node.children("volumeMounts")
        ),
    )


def read_api_call(node: Node) -> ApiCall | None:
    """``service.action.kubernetesApiCallAction``; the older form has no sourceIPs, so the remote address stands in."""
    if not node:
        return None
    return ApiCall(
        verb=node.text("verb"),
        request_uri=node.text("requestUri", LONG),
        resource=node.text("resource"),
        subresource=node.text("subresource"),
        namespace=node.text("namespace"),
        resource_name=node.text("resourceName"),
        source_ips=node.texts("sourceIPs") or read_remote_ips(node),
        user_agent=node.text("userAgent"),
        status_code=node.integer("statusCode"),
    )


def read_remote_ips(node: Node) -> tuple[str, ...]:
    """The addresses in ``remoteIpDetails`` of an action."""
    remote = node.child("remoteIpDetails")
    return tuple(ip for ip in (remote.text("ipAddressV4"), remote.text("ipAddressV6")) if ip)


def read_permission(node: Node) -> PermissionCheck | None:
    """``service.action.kubernetesPermissionCheckedDetails``."""
    if not node:
        return None
    return PermissionCheck(
        verb=node.text("verb"),
        resource=node.text("resource"),
        namespace=node.text("namespace"),
        allowed=node.flag("allowed"),
    )


def read_role_binding(node: Node) -> RoleBinding | None:
    """``service.action.kubernetesRoleBindingDetails``."""
    if not node:
        return None
    return RoleBinding(
        kind=node.text("kind"),
        name=node.text("name", RBAC_NAME),
        uid=node.text("uid", NAME),
        role_ref_name=node.text("roleRefName", RBAC_NAME),
        role_ref_kind=node.text("roleRefKind"),
    )


def read_role(node: Node) -> Role | None:
    """``service.action.kubernetesRoleDetails``."""
    if not node:
        return None
    return Role(kind=node.text("kind"), name=node.text("name", RBAC_NAME), uid=node.text("uid", NAME))


def read_process(node: Node) -> Process | None:
    """``service.runtimeDetails.process``."""
    if not node:
        return None
    return Process(
        name=node.text("name"),
        executable_path=node.text("executablePath", LONG),
        executable_sha256=node.text("executableSha256"),
        pid=node.integer("pid"),
        user=node.text("user"),
    )


def read_threats(service: Node) -> tuple[str, ...]:
    """Names of malware and threats, from the volume scan, the malware scan and the threat lists, each once."""
    detections = service.child("ebsVolumeScanDetails").child("scanDetections")
    names = [detections.child("highestSeverityThreatDetails").text("threatName")]
    names += [t.text("name") for t in detections.child("threatDetectedByName").children("threatNames")]
    names += [t.text("name") for t in service.child("malwareScanDetails").children("threats")]
    for detail in service.child("evidence").children("threatIntelligenceDetails"):
        names += detail.texts("threatNames", FREE)
    return tuple(dict.fromkeys(n for n in names if n))


def read_sample(info: Node) -> bool:
    """Whether ``additionalInfo`` marks a sample: by itself, or inside ``value``, a text that holds JSON.

    It is GuardDuty's free annex: whatever else stands in it marks nothing, and is no error.
    """
    inner = info.raw("value")
    if isinstance(inner, str):
        try:
            inner = load_json(inner)
        except ValueError:
            inner = None
    marks = [info.raw("sample"), inner.get("sample") if isinstance(inner, dict) else None]
    return any(mark is True or (isinstance(mark, str) and mark.lower() == "true") for mark in marks)
