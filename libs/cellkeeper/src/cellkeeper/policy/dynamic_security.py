"""The policy as Mosquitto's dynamic-security plugin reads it: one role and one client for each user.

Revoke by leaving a user out and starting the broker with the new file: a disabled client that comes with a certificate
is let in all the same (Mosquitto 2.0 and 2.1). All four defaults refuse, except to unsubscribe; the plugin's own
would deliver everything.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from cellkeeper.policy.roles import Role

ROUNDS: Final = 1000
"""Each try costs the broker's only thread about a millisecond; what protects is 256 random bits, not the rounds."""
SALT_BYTES: Final = 12
_EXCEPTION, _RULE = 1, 0  # the plugin looks at higher priorities first


@dataclass(frozen=True, slots=True)
class PasswordHash:
    """A password as the plugin keeps it: PBKDF2 with SHA-512; both base64."""

    salt: str
    hash: str
    rounds: int = ROUNDS


def hashed(password: str, salt: bytes) -> PasswordHash:
    """Return the hash of a random password; the plugin of 2.0 reads no other form, that of 2.1 reads it too."""
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ROUNDS)
    return PasswordHash(base64.b64encode(salt).decode(), base64.b64encode(digest).decode())


def policy(roles: Sequence[Role], passwords: Mapping[str, PasswordHash]) -> bytes:
    """Return the plugin's file; users without a password get in by certificate only."""
    tree = {
        "defaultACLAccess": {
            "publishClientSend": False,
            "publishClientReceive": False,
            "subscribe": False,
            "unsubscribe": True,
        },
        "groups": [],
        "clients": [_client(role.user, passwords.get(role.user)) for role in roles],
        "roles": [{"rolename": role.user, "acls": _acls(role)} for role in roles],
    }
    return orjson.dumps(tree, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _client(user: str, password: PasswordHash | None) -> dict[str, Any]:
    client: dict[str, Any] = {"username": user, "roles": [{"rolename": user, "priority": 0}]}
    if password is not None:
        client |= {"password": password.hash, "salt": password.salt, "iterations": password.rounds}
    return client


def _acls(role: Role) -> list[dict[str, Any]]:
    rights = (
        ("publishClientSend", role.never_publish, False),
        ("publishClientSend", role.publish, True),
        ("subscribePattern", role.subscribe, True),
        ("publishClientReceive", role.receive, True),
    )
    return [
        {"acltype": kind, "topic": topic, "priority": _RULE if allow else _EXCEPTION, "allow": allow}
        for kind, topics, allow in rights
        for topic in topics
    ]
