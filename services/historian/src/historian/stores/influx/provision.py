"""Make an InfluxDB ready for a site: first user, buckets, database mapping, and tokens that may no more than they must.

Everything is looked at first: a second run changes nothing, and a bucket or token that was deleted comes back. Tokens
belong to buckets by id, so a new bucket means new tokens; the historian reads its file again by itself.
"""

import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from cellkeeper.contract.series import FULL, LOG, TIERS
from cellkeeper.runtime.whole_file import whole_file

from historian.errors import StoreFailedError, StoreMissingError
from historian.stores.influx.server import Server, Target

DAY_S: Final = 86_400
OWNER: Final = "cellkeeper"
WIDE_SHARD_DAYS: Final = {"15m": 28, "1d": 364, LOG: 28}
"""Days in a shard of a bucket with few rows a day: a question opens every series of every shard that it touches."""
type Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ProvisionPlan:
    """What a server is to have.

    Attributes:
        target: the server; its token file is the operator's, made at a server's first start.
        keep_days: days that each tier's bucket keeps, 0 for ever.
        historian_token_file, reader_token_file: where the tokens go, mode 0400; None for none.
    """

    target: Target
    keep_days: Mapping[str, int]
    historian_token_file: Path | None = None
    reader_token_file: Path | None = None

    def with_operator(self, token_file: Path) -> "ProvisionPlan":
        """Return the same plan for a server whose operator token lies elsewhere."""
        return replace(self, target=replace(self.target, token_file=token_file))


def provision(plan: ProvisionPlan) -> Iterator[str]:
    """Bring the server to the plan; yield a line for everything that was changed.

    Raises:
        StoreFailedError: the server does not answer or refuses; the text says what to do.
    """
    server = Server(plan.target)
    try:
        yield from _first_user(server, plan.target)
        org = server.manage("GET", "/api/v2/orgs", org=plan.target.org)["orgs"][0]["id"]
        buckets: dict[str, str] = {}
        for tier, days in {**plan.keep_days, LOG: 0}.items():
            name = f"{plan.target.database}/{tier}"
            shard_s = _shard_s(days * DAY_S, WIDE_SHARD_DAYS.get(tier, 0) * DAY_S)
            buckets[tier], did = _bucket(server, org, name, days * DAY_S, shard_s)
            yield from did
        yield from _mapping(server, org, plan.target.database, buckets[FULL.name])
        wanted = {
            "historian": (plan.historian_token_file, ("read", "write")),
            "reader": (plan.reader_token_file, ("read",)),
        }
        for role, (file, actions) in wanted.items():
            if file is not None:
                label = f"{plan.target.database} {role}"
                rights = [_right(action, org, bucket) for bucket in buckets.values() for action in actions]
                yield from _token(server, org, label, rights, file)
    finally:
        server.close()


def _first_user(server: Server, target: Target) -> Iterator[str]:
    """Set a fresh server up; its operator token is ours, so that a run that is cut off can be repeated."""
    if is_new := not target.token_file.exists():
        write_secret(target.token_file, secrets.token_urlsafe(48))
    if not server.manage("GET", "/api/v2/setup")["allowed"]:
        if is_new:
            target.token_file.unlink()
            raise StoreFailedError(
                f"{target.url} is set up already; put its operator token into {target.token_file} and run this again"
            )
        return
    server.manage(
        "POST",
        "/api/v2/setup",
        {
            "username": OWNER,
            "password": secrets.token_urlsafe(24),  # nobody logs in with it: people set their own with the token
            "org": target.org,
            "bucket": f"{target.database}/{FULL.name}",
            "token": target.token_file.read_text("utf-8").strip(),
        },
    )
    yield f"set up {target.url}; operator token in {target.token_file}"


def _bucket(server: Server, org: str, name: str, keep_s: int, shard_s: int) -> tuple[str, list[str]]:
    rules = [{"type": "expire", "everySeconds": keep_s, "shardGroupDurationSeconds": shard_s}]
    try:
        (bucket,) = server.manage("GET", "/api/v2/buckets", orgID=org, name=name)["buckets"]
    except StoreMissingError:
        made = server.manage("POST", "/api/v2/buckets", {"orgID": org, "name": name, "retentionRules": rules})
        return str(made["id"]), [f"bucket {name} made"]
    kept_s = next((int(rule["everySeconds"]) for rule in bucket["retentionRules"]), 0)
    if kept_s == keep_s:
        return str(bucket["id"]), []
    server.manage("PATCH", f"/api/v2/buckets/{bucket['id']}", {"retentionRules": rules})
    now, before = (f"{s // DAY_S} days" if s else "everything" for s in (keep_s, kept_s))
    return str(bucket["id"]), [f"bucket {name} keeps {now}, before {before}"]


def _shard_s(keep_s: int, wide_s: int) -> int:
    """Return what one shard holds: whole shards are deleted, and a shorter keeping is refused for longer shards."""
    if wide_s and (keep_s == 0 or keep_s >= 5 * wide_s):
        return wide_s
    if keep_s == 0 or keep_s > 180 * DAY_S:
        return 7 * DAY_S
    return DAY_S if keep_s >= 2 * DAY_S else DAY_S // 24


def _mapping(server: Server, org: str, database: str, bucket: str) -> Iterator[str]:
    """Map the database's default policy to the full tier; the other buckets map by their names."""
    found = server.manage("GET", "/api/v2/dbrps", orgID=org, db=database)["content"] or []
    ours = [each for each in found if not each.get("virtual") and each["retention_policy"] == FULL.name]
    if any(each["bucketID"] == bucket and each["default"] for each in ours):
        return
    for each in ours:
        server.manage("DELETE", f"/api/v2/dbrps/{each['id']}", orgID=org)
    mapping = {"orgID": org, "bucketID": bucket, "database": database, "retention_policy": FULL.name, "default": True}
    server.manage("POST", "/api/v2/dbrps", mapping)
    yield f"database {database} mapped to {database}/{FULL.name}"


def _right(action: str, org: str, bucket: str) -> Json:
    return {"action": action, "resource": {"type": "buckets", "id": bucket, "orgID": org}}


def _token(server: Server, org: str, label: str, rights: list[Json], file: Path) -> Iterator[str]:
    wanted = {(right["action"], right["resource"]["id"]) for right in rights}
    here = file.read_text("utf-8").strip() if file.exists() else ""
    for known in server.manage("GET", "/api/v2/authorizations", orgID=org)["authorizations"]:
        if known["description"] != label:
            continue
        has = {(right["action"], right["resource"].get("id")) for right in known["permissions"]}
        if known["token"] == here and has == wanted and known["status"] == "active":
            return
        server.manage("DELETE", f"/api/v2/authorizations/{known['id']}")
    made = server.manage("POST", "/api/v2/authorizations", {"orgID": org, "description": label, "permissions": rights})
    write_secret(file, made["token"])
    yield f"token of {label} in {file}"


def write_secret(file: Path, text: str) -> None:
    """Put a secret into a file that only its owner may read, never half of it.

    Root gives it to the owner of its folder: the service that reads it.

    Raises:
        StoreFailedError: it cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        owner = file.parent.stat().st_uid if os.geteuid() == 0 else None
        with whole_file(file, mode=0o400, uid=owner) as output:
            output.write(text.encode() + b"\n")
    except OSError as exc:
        raise StoreFailedError(f"{file}: {exc.strerror}; choose another folder for the tokens") from exc


def plan_for(target: Target, tokens: Path, keep_days: Mapping[str, int] | None = None) -> ProvisionPlan:
    """Return the plan of a site whose secrets lie in one folder."""
    days = {tier.name: tier.keep_days for tier in (FULL, *TIERS)} | dict(keep_days or {})
    operator = replace(target, token_file=tokens / "operator.token")
    return ProvisionPlan(operator, days, tokens / "historian.token", tokens / "reader.token")
