"""What each user of the broker may publish, subscribe and receive. Whatever is not named here is refused.

A service may write where the topic table names its kind, and read what the table lets it read. With several gateways,
each may write every string and dc bus but those that `site.toml` gives to another one: a topic has one writer, and what
was taken out of `site.toml` can still be cleared.

A reader may subscribe to anything below the site and receives all but commands and outcomes; it publishes nothing but
the commands that it was granted, in its own name.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from cellkeeper.contract.channels import CHANNELS, COMMAND, EVENT, OUTCOME, PRESENCE, ROOT, SITE_META, Channel
from cellkeeper.contract.commands import COMMANDS
from cellkeeper.contract.payload import Request, Telemetry
from cellkeeper.contract.site import Site

GATEWAY: Final = "bus-gateway"
MAY_COMMAND: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "balancer": {GATEWAY: ("bleed", "stop_bleed")},
    "analytics": {GATEWAY: ("measure_impedance",)},
}
"""Commands that a kind of service may give, by the kind that is asked."""

_ADDRESSED: Final = (EVENT, PRESENCE, COMMAND, OUTCOME)


@dataclass(frozen=True, slots=True)
class Role:
    """The rights of one user, as topic filters.

    Attributes:
        user: the MQTT user; of a certificate, its common name.
        publish: where it may write.
        never_publish: exceptions that win over `publish`.
        subscribe: filters it may ask for, and every narrower one.
        receive: what reaches it, whatever it asked for.
    """

    user: str
    publish: tuple[str, ...] = ()
    never_publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    receive: tuple[str, ...] = ()


class GrantError(ValueError):
    """A command that does not exist was granted; the text says which there are."""


def service_role(site: Site, instance: str, kinds: Mapping[str, str]) -> Role:
    """Return the role of a service.

    Args:
        site: whose topics.
        instance: the service's id, for example `bus-gateway-2`.
        kinds: the kind of every instance of the site, for example `{"bus-gateway-2": "bus-gateway"}`.
    """
    site_id, kind = site.site.id, kinds[instance]
    reads = tuple(channel.filter(site=site_id) for channel in CHANNELS if kind in channel.readers)
    addressed = (
        PRESENCE.filter(site=site_id),
        COMMAND.filter(site=site_id, service=instance),
        OUTCOME.filter(site=site_id, issuer=instance),
    )
    readable = tuple(dict.fromkeys((*reads, *addressed)))
    return Role(
        user=instance,
        publish=(
            *_own_channels(site, instance, kind),
            EVENT.topic(site=site_id, service=instance),
            PRESENCE.topic(site=site_id, service=instance),
            OUTCOME.filter(site=site_id, service=instance),
            *_commands(site_id, instance, kind, kinds),
        ),
        never_publish=tuple(_of_other_gateways(site, instance)) if kind == GATEWAY else (),
        subscribe=readable,
        receive=readable,
    )


def _own_channels(site: Site, instance: str, kind: str) -> Iterator[str]:
    for channel in CHANNELS:
        if channel.writer != kind or channel in _ADDRESSED:
            continue
        if channel is SITE_META and instance != site.gateway[0].service:
            continue
        yield channel.filter(site=site.site.id)


def _of_other_gateways(site: Site, instance: str) -> Iterator[str]:
    root = ROOT.format(site=site.site.id)
    for string in site.string:
        if site.gateway_of(string) != instance:
            yield f"{root}string/{string.id}/#"
    for dcbus in site.dcbus:
        if dcbus.gateway != instance:
            yield f"{root}dcbus/{dcbus.id}/#"


def _commands(site_id: str, instance: str, kind: str, kinds: Mapping[str, str]) -> Iterator[str]:
    for asked, names in MAY_COMMAND.get(kind, {}).items():
        for service in (name for name, of in kinds.items() if of == asked):
            for name in names:
                yield COMMAND.topic(site=site_id, service=service, name=name, issuer=instance)


def reader_role(site_id: str, user: str, commands: tuple[str, ...] = ()) -> Role:
    """Return the role of somebody outside the suite.

    Args:
        site_id: whose topics.
        user: the reader's name, also the issuer of its commands.
        commands: what it may ask, each as `service/name`.

    Raises:
        GrantError: there is no such command.
    """
    readable = tuple(channel.filter(site=site_id) for channel in CHANNELS if _is_for_readers(channel))
    outcomes = (OUTCOME.filter(site=site_id, issuer=user),) if commands else ()
    return Role(
        user=user,
        publish=tuple(_granted(site_id, user, command) for command in commands),
        subscribe=(f"{ROOT.format(site=site_id)}#",),
        receive=(*readable, *outcomes),
    )


def probe_role(site_id: str, user: str) -> Role:
    """Return the role of the broker's own health check: it sees presences and nothing else."""
    presences = (PRESENCE.filter(site=site_id),)
    return Role(user=user, subscribe=presences, receive=presences)


def all_commands(kinds: Mapping[str, str]) -> tuple[str, ...]:
    """Return every command of every instance, as `service/name`; `kinds` gives the kind of each."""
    return tuple(f"{service}/{name}" for service, kind in kinds.items() for name in COMMANDS.get(kind, {}))


def _is_for_readers(channel: Channel[Telemetry | Request]) -> bool:
    return channel not in {COMMAND, OUTCOME}


def _granted(site_id: str, user: str, command: str) -> str:
    service, _, name = command.partition("/")
    kinds = [kind for kind in COMMANDS if service == kind or service.startswith(f"{kind}-")]
    if not kinds or name not in COMMANDS[kinds[0]]:
        known = ", ".join(f"{kind}/{each}" for kind, names in COMMANDS.items() for each in names)
        raise GrantError(f"{command!r} is no command; name it as service/command; there are {known}")
    return COMMAND.topic(site=site_id, service=service, name=name, issuer=user)
