"""Who would put a policy back after we changed it: read from the marks that GitOps tools, Helm and owners leave."""

from __future__ import annotations

from clients.kubernetes import JsonObject

_MARKS = (
    ("annotations", "argocd.argoproj.io/tracking-id", "Argo CD application {}"),
    ("labels", "argocd.argoproj.io/instance", "Argo CD application {}"),
    ("labels", "kustomize.toolkit.fluxcd.io/name", "Flux Kustomization {}"),
    ("labels", "helm.toolkit.fluxcd.io/name", "Flux HelmRelease {}"),
    ("annotations", "meta.helm.sh/release-name", "Helm release {}"),
    ("labels", "app.kubernetes.io/managed-by", "{}"),
)
_OURS = "firebreak"
_LONGEST = 80


def probable_manager(obj: JsonObject) -> str:
    """Who manages an object, for people, or "": a GitOps application, an owner, or whoever wrote its selector last."""
    metadata = obj["metadata"]
    for place, key, text in _MARKS:
        value = (metadata.get(place) or {}).get(key)
        if value:
            return text.format(_plain(value.partition(":")[0]))
    for owner in metadata.get("ownerReferences") or ():
        return _plain(f"{owner['kind']} {owner['name']}")
    writers = [
        (str(entry.get("time") or ""), _plain(str(entry.get("manager") or "")))
        for entry in metadata.get("managedFields") or ()
        if "f:podSelector" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})
    ]
    return max((w for w in writers if w[1] != _OURS), default=("", ""))[1]


def _plain(text: str) -> str:
    # Labels are plain by Kubernetes' own rules; annotations and manager names are whatever somebody wrote.
    return "".join(c if c.isprintable() else " " for c in text)[:_LONGEST]
