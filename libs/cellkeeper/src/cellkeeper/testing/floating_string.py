"""A gateway that is not ours: it publishes a string that floats, in real time, until it is told to end."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from cellkeeper.contract.channels import SCAN
from cellkeeper.contract.scan_columns import encode_scan
from cellkeeper.runtime.clock import SystemClock
from cellkeeper.testing.builders import scan_of

EVERY_S: Final = 0.5


@contextmanager
def floating_string(port: int, cells: int, *, site: str = "hh1", string: str = "s1") -> Iterator[mqtt.Client]:
    """Publish a scan twice a second on a broker of this machine; gives the link, for what else a test publishes."""
    client, end = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5), threading.Event()

    def run() -> None:
        seq = 0
        while not end.wait(EVERY_S):
            seq += 1
            scan = scan_of(cells, seq, measured_ms=SystemClock().now_ms(), stream="11fe")
            client.publish(SCAN.topic(site=site, string=string), encode_scan(scan), qos=1)

    client.connect("127.0.0.1", port)
    client.loop_start()
    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield client
    finally:
        end.set()
        thread.join()
        client.disconnect()
        client.loop_stop()
