"""How a client of the broker proves who it is: three files, TLS 1.3 both ways, and words for what goes wrong.

The files are read anew at each connection, so a renewed certificate is used without a restart. There is no way from
here to a connection without TLS, without a check of the broker's name, or with an older version.
"""

import os
import socket
import ssl
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from cellkeeper.runtime.certificate_facts import CertificateFacts, CertificateUnusableError, utc
from cellkeeper.runtime.errors import LinkLostError

PROBE_S: Final = 3.0  # a broker that refuses a certificate says so within milliseconds of the handshake
RENEW: Final = "renew it with `cellkeeper certificates renew FOLDER`"
NO_TLS: Final = "nobody speaks TLS on this port; services use port 8883, people and SCADA 8884 or 8885"

_EXPIRED, _NOT_YET, _UNKNOWN_ISSUER, _HOST = 10, 9, (18, 19, 20, 21), (62, 64)  # X509_V_ERR_… of OpenSSL


class TlsRefusedError(LinkLostError):
    """One side does not trust the other: the text says why and what to do. A renewal may cure it, so it is retried."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The folder that a client was given: `ca.crt` (whom to trust), `client.crt` and `client.key` (who we are)."""

    folder: Path

    @property
    def authorities(self) -> Path:
        """Certificates of the site's authority, the next one included."""
        return self.folder / "ca.crt"

    @property
    def certificate(self) -> Path:
        """Our own certificate."""
        return self.folder / "client.crt"

    @property
    def key(self) -> Path:
        """Our private key."""
        return self.folder / "client.key"

    def user(self) -> str:
        """Return the name that the broker will know us by; raises TlsRefusedError."""
        return self._own_facts().name

    def context(self, now: datetime) -> ssl.SSLContext:
        """Return what a connection needs, from the files as they are now.

        Raises:
            TlsRefusedError: a file is missing, damaged, expired or not yet valid.
        """
        self._require_usable(now)
        try:
            context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(self.authorities))
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            context.load_cert_chain(self.certificate, self.key)
        except ssl.SSLError as exc:
            raise TlsRefusedError(f"{self.key} does not belong to {self.certificate} ({exc.reason}); {RENEW}") from exc
        return context

    def _own_facts(self) -> CertificateFacts:
        from cellkeeper.runtime.certificates import facts  # noqa: PLC0415  # 8 MB that nobody needs without TLS

        try:
            return facts(_read(self.certificate), str(self.certificate))
        except CertificateUnusableError as exc:
            raise TlsRefusedError(str(exc)) from exc

    def _require_usable(self, now: datetime) -> None:
        _read(self.key)
        own = self._own_facts()
        if now > own.not_after:
            raise TlsRefusedError(f"{self.certificate} expired on {utc(own.not_after)}; {RENEW}")
        if now < own.not_before:
            raise TlsRefusedError(
                f"{self.certificate} is not yet valid: it begins on {utc(own.not_before)}, and this machine's clock "
                f"shows {utc(now)}; set the clock"
            )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise TlsRefusedError(
            f"{path}: {exc.strerror}; `cellkeeper init FOLDER` makes it, for the user that its service runs as "
            f"(this is user {os.geteuid()})"
        ) from exc


def why_refused(host: str, port: int, files: TlsFiles, now: datetime) -> str | None:
    """Connect once more, for the reason only: what one side holds against the other, None when TLS is not the reason.

    Under TLS 1.3 a broker refuses a client's certificate after the handshake, where an MQTT library sees only silence.
    Blocks for at most some seconds.
    """
    try:
        context = files.context(now)
        with (
            socket.create_connection((host, port), timeout=PROBE_S) as plain,
            context.wrap_socket(plain, server_hostname=host) as secured,
        ):
            secured.settimeout(PROBE_S / 4)
            secured.recv(1)
    except TlsRefusedError as exc:
        return str(exc)
    except ssl.SSLCertVerificationError as exc:
        return _in_words(exc, host, files, now)
    except ssl.SSLError as exc:
        return _alert_in_words(exc, files)
    except ConnectionResetError:
        return NO_TLS
    except OSError:
        return None
    return None


def _in_words(exc: ssl.SSLCertVerificationError, host: str, files: TlsFiles, now: datetime) -> str:
    if exc.verify_code == _EXPIRED:
        return f"the broker's certificate has expired (this machine's clock shows {utc(now)}); {RENEW}"
    if exc.verify_code == _NOT_YET:
        return f"the broker's certificate is not yet valid: this machine's clock shows {utc(now)}; set the clock"
    if exc.verify_code in _UNKNOWN_ISSUER:
        return f"the broker's certificate is not from the authority in {files.authorities}; is {host} our broker?"
    if exc.verify_code in _HOST:
        return (
            f"the broker's certificate is not for the name {host}; add it to `hosts` in access.toml and run "
            "`cellkeeper init FOLDER` again"
        )
    return f"the broker's certificate is refused: {exc.verify_message}"


def _alert_in_words(exc: ssl.SSLError, files: TlsFiles) -> str:
    reason = (exc.reason or str(exc)).lower()
    if "expired" in reason:
        return (
            f"the broker says that {files.certificate} has expired; compare the clocks of both machines, then {RENEW}"
        )
    if "unknown_ca" in reason or "bad_certificate" in reason or "certificate_unknown" in reason:
        return (
            f"the broker does not trust {files.certificate} ({reason}): it knows another authority, takes only "
            "another kind of client on this port, or its clock is wrong"
        )
    if "wrong_version_number" in reason or "record_layer" in reason or "eof" in reason:
        return NO_TLS
    if "version" in reason:
        return "the broker does not speak TLS 1.3 on this port"
    return f"TLS failed: {reason}"
