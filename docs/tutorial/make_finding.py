"""Makes what the tutorial is about: a workload with a vulnerable image, and a finding about one of its pods.

It deploys the demo's workload into the embedded stack `default`, puts the rewritten capture of a published finding into
the stand-in's GuardDuty, and prints the same finding in the shape of GetFindings.
"""

import json
import sys

from cli.demo.finding import finding_about
from cli.embedded import running_stack
from devstack.aws.prepare import put_findings
from devstack.cluster import DEMO_NAMESPACE
from devstack.demo_workload import NAME, deploy_demo_workload
from devstack.kube import KubeApi
from devstack.processes import poll


def rolled_out(admin: KubeApi) -> bool:
    """Whether the deployment runs its own pods and no others."""
    deployment = admin.request("GET", f"/apis/apps/v1/namespaces/{DEMO_NAMESPACE}/deployments/{NAME}")
    wanted, status = deployment["spec"]["replicas"], deployment["status"]
    current = status.get("observedGeneration") == deployment["metadata"]["generation"]
    counts = (status.get(key) for key in ("replicas", "updatedReplicas", "availableReplicas"))
    pods = admin.request("GET", f"/api/v1/namespaces/{DEMO_NAMESPACE}/pods")["items"]
    return current and len(pods) == wanted and all(count == wanted for count in counts)


def main() -> None:
    """Print the finding on stdout and, on stderr, what the next steps of the tutorial need."""
    info = running_stack("default")
    if info is None:
        sys.exit("the embedded stack does not run: firebreak up")
    admin = KubeApi.from_kubeconfig(info.kubeconfig_admin)
    deploy_demo_workload(admin)
    # An earlier incident may have left another image, of which the pods are still being replaced.
    poll("the rollout to end", lambda: rolled_out(admin), 60.0)
    workload = deploy_demo_workload(admin)
    finding = finding_about(workload.pods[0], workload, info)
    put_findings(info.aws_endpoint, region=info.region, detector_id=info.detector_id, findings=[finding])
    json.dump({"Findings": [finding]}, sys.stdout, indent=2)
    lines = (
        f"the finding accuses pod {workload.namespace}/{workload.pods[0].name}",
        f"its id:          {finding['Id']}",
        f"the fixed image: {workload.clean_image}",
    )
    sys.stderr.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
