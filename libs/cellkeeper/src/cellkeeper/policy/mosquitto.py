"""The configuration of a site's broker: one listener for services, two for readers, nothing for anybody else.

Paths are relative to the folder of the file. What depends on the version that is installed (where the plugin lies,
options that only 2.1 has) is filled in by the script `start` beside it.
"""

from typing import Final

from cellkeeper.contract.wire import MAX_PAYLOAD_BYTES
from cellkeeper.policy.access import BrokerAccess

LIMITS: Final = f"""\
# TCP_NODELAY and the queue limits are not tuning: with the defaults the 99th percentile of a 1 kB stream is 83 ms
# instead of 0.24 ms, and a new reader of 4096 retained topics gets 1020 of them.
set_tcp_nodelay true
max_packet_size {MAX_PAYLOAD_BYTES}
max_queued_messages 20000
max_queued_bytes 134217728
max_inflight_messages 1000
persistence false
"""
"""What every broker of the suite has, the demo's included."""

ONLY_2_1: Final = "#2.1# "
PLUGIN: Final = "@PLUGIN@"
AUTHORITY_OF_SERVICES: Final = "services-ca.crt"
AUTHORITY_OF_READERS: Final = "readers-ca.crt"

_TLS: Final = """\
certfile broker.crt
keyfile broker.key"""
_WHOLE_BROKER: Final = f"""\
# Rendered by `cellkeeper init`, sealed by sealed.sha256: edit access.toml and run it again.
plugin {PLUGIN}
plugin_opt_config_file policy.json
allow_anonymous false
allow_zero_length_clientid true
max_keepalive 600
sys_interval 0
log_dest stderr
log_type error
log_type warning
log_type notice
{LIMITS}
"""


def mosquitto_conf(broker: BrokerAccess) -> str:
    """Return the configuration of a site's broker, to be completed by `start`."""
    return _WHOLE_BROKER + _for_services(broker) + _for_readers(broker)


def _for_services(broker: BrokerAccess) -> str:
    return f"""\
# Services: mutual TLS 1.3, MQTT 5. The certificate's name is the user and the client id, so that nobody takes
# another's session over.
listener {broker.services_port} {broker.services_bind}
{ONLY_2_1}accept_protocol_versions 5
max_connections 64
cafile {AUTHORITY_OF_SERVICES}
{_TLS}
tls_version tlsv1.3
require_certificate true
use_identity_as_username true
use_username_as_clientid true

"""


def _for_readers(broker: BrokerAccess) -> str:
    return f"""\
# Readers with a password. Under MQTT 3.1.1 a refused publish is acknowledged all the same; it goes nowhere.
listener {broker.readers_port} {broker.readers_bind}
{ONLY_2_1}accept_protocol_versions 4, 5
max_connections 256
{_TLS}
tls_version tlsv1.2

# Readers with a certificate of their own authority: theirs is worth nothing on the port of services.
listener {broker.readers_certificate_port} {broker.readers_bind}
{ONLY_2_1}accept_protocol_versions 4, 5
max_connections 256
cafile {AUTHORITY_OF_READERS}
{_TLS}
tls_version tlsv1.2
require_certificate true
use_identity_as_username true
"""
