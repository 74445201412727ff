"""Makes and reads X.509 certificates; the only file that imports `cryptography`.

Keys are P-256. A certificate authority lives ten years and signs leaves only; a leaf lives 90 days, names one thing and
says whether it is a client or the broker: a broker that asks for no purpose would take either.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cellkeeper.runtime.certificate_facts import CertificateFacts, CertificateUnusableError

CA_DAYS: Final = 3650
LEAF_DAYS: Final = 90
RENEW_AT_LEFT_DAYS: Final = 30  # a third of the life: a month of tries before anything stops
CA_NEXT_AT_LEFT_DAYS: Final = 730  # readers need time to take the next authority's certificate
BACKDATED: Final = timedelta(hours=24)  # a clock that is some hours behind takes a new certificate


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A private key and its certificate, both PEM."""

    key: bytes
    certificate: bytes


def new_authority(name: str, now: datetime) -> KeyPair:
    """Return a self-signed authority called `name` that may sign leaves and nothing else."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _named(name)
    certificate = (
        _builder(subject, subject, key.public_key(), now, CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return KeyPair(_key_pem(key), certificate.public_bytes(serialization.Encoding.PEM))


def new_client(name: str, authority: KeyPair, now: datetime, days: int = LEAF_DAYS) -> KeyPair:
    """Return a client certificate whose common name is the MQTT user `name`."""
    return _new_leaf(name, authority, _Terms(now, days, ExtendedKeyUsageOID.CLIENT_AUTH))


def new_server(name: str, hosts: Sequence[str], authority: KeyPair, now: datetime) -> KeyPair:
    """Return a server certificate for host names and addresses."""
    return _new_leaf(name, authority, _Terms(now, LEAF_DAYS, ExtendedKeyUsageOID.SERVER_AUTH, tuple(hosts)))


@dataclass(frozen=True, slots=True)
class _Terms:
    now: datetime
    days: int
    purpose: x509.ObjectIdentifier
    hosts: tuple[str, ...] = ()


def _new_leaf(name: str, authority: KeyPair, terms: _Terms) -> KeyPair:
    issuer = _first(authority.certificate, name)
    signer = serialization.load_pem_private_key(authority.key, password=None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    days = min(terms.days, (issuer.not_valid_after_utc - terms.now).days)
    builder = (
        _builder(_named(name), issuer.subject, key.public_key(), terms.now, days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([terms.purpose]), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if terms.hosts:
        names = x509.SubjectAlternativeName([_host(host) for host in terms.hosts])
        builder = builder.add_extension(names, critical=False)
    certificate = builder.sign(signer, hashes.SHA256())
    return KeyPair(_key_pem(key), certificate.public_bytes(serialization.Encoding.PEM))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _all(pem: bytes, where: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as exc:
        raise CertificateUnusableError(f"{where} is not a PEM certificate; renew it or copy it again") from exc


def _first(pem: bytes, where: str) -> x509.Certificate:
    return _all(pem, where)[0]


def facts(pem: bytes, where: str) -> CertificateFacts:
    """Return name and validity of the first certificate in `pem`, which came from the file `where`.

    Raises:
        CertificateUnusableError: it is none.
    """
    found = _first(pem, where)
    names = found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    try:
        listed = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        hosts = tuple(str(each.value) for each in listed)
    except x509.ExtensionNotFound:
        hosts = ()
    name = str(names[0].value) if names else ""
    return CertificateFacts(name, found.not_valid_before_utc, found.not_valid_after_utc, hosts)


def is_issued_by(leaf_pem: bytes, authorities_pem: bytes, where: str) -> bool:
    """Return whether one of the authorities signed the leaf; raises CertificateUnusableError."""
    leaf = _first(leaf_pem, where)
    for authority in _all(authorities_pem, where):
        try:
            leaf.verify_directly_issued_by(authority)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return True
    return False


def needs_renewal(pem: bytes, where: str, now: datetime, left_days: int = RENEW_AT_LEFT_DAYS) -> bool:
    """Return whether less than `left_days` of its validity are left; raises CertificateUnusableError."""
    return facts(pem, where).left(now) < timedelta(days=left_days)
