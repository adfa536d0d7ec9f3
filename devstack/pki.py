"""The cluster's keys: an authority, what it certifies, and the key that signs service account tokens."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from devstack.state import write_private

_VALIDITY = datetime.timedelta(days=3650)
_DNS_NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
_ADDRESSES = ("127.0.0.1", "10.96.0.1")
KUBELET_CLIENT = "kube-apiserver-kubelet-client"
"""The user as whom the API server calls a real kubelet; what it may do there, RBAC says."""


def create_pki(folder: Path, node_address: str | None = None) -> None:
    """Write ca.crt, apiserver.crt, apiserver.key and service-account.key into ``folder``, unless they are there.

    The certificate is signed by an authority of its own instead of by itself, so that kubeconfigs can verify it on any
    OpenSSL, with strict checking too. The authority's key is thrown away: nothing else is ever signed.

    Args:
        folder: Where they go.
        node_address: The address of a real node. It adds node.crt and kwok.crt, by which the API server knows the
            kubelets, and kubelet-client.crt, by which the kubelet knows the API server, with their keys.
    """
    if (folder / "service-account.key").exists():
        return
    authority = _Authority()
    write_private(folder / "ca.crt", _pem(authority.certificate))
    authority.issue(folder, "apiserver", _name("kube-apiserver"), (*_DNS_NAMES, *_ADDRESSES))
    if node_address is not None:
        authority.issue(folder, "node", _name("node"), (node_address,))
        authority.issue(folder, "kwok", _name("kwok"), ("localhost", "127.0.0.1"))
        authority.issue(folder, "kubelet-client", _name(KUBELET_CLIENT), ())
    # Written last, because its presence says that the set is complete.
    write_private(
        folder / "service-account.key", _private_pem(rsa.generate_private_key(public_exponent=65537, key_size=2048))
    )


class _Authority:
    """A certificate authority that lives as long as this object."""

    def __init__(self) -> None:
        self._now = datetime.datetime.now(datetime.UTC)
        self._key = ec.generate_private_key(ec.SECP256R1())
        name = _name("firebreak-devstack-ca")
        self.certificate = (
            _builder(name, name, self._key.public_key(), self._now)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(authority=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )

    def issue(self, folder: Path, file: str, subject: x509.Name, names: Sequence[str]) -> None:
        """Write a certificate and its key: a server's with the names and addresses it has, a client's without any."""
        key = ec.generate_private_key(ec.SECP256R1())
        usage = ExtendedKeyUsageOID.SERVER_AUTH if names else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = (
            _builder(subject, self.certificate.subject, key.public_key(), self._now)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        if names:
            alternatives = x509.SubjectAlternativeName([_alternative(name) for name in names])
            builder = builder.add_extension(alternatives, critical=False)
        write_private(folder / f"{file}.crt", _pem(builder.sign(self._key, hashes.SHA256())))
        write_private(folder / f"{file}.key", _private_pem(key))


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        # A day of slack, for a clock that is corrected backwards after the start.
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + _VALIDITY)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _private_pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    # The traditional form ("BEGIN RSA PRIVATE KEY"), because the controller manager reads it in every version.
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    ).decode()
