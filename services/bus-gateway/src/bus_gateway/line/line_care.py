"""What one line needs between sweeps, as the sweeps show it.

New devices are introduced, resets acknowledged, set-points kept, duplicates and faults of the line told.
"""

import asyncio
from random import Random
from typing import Final

import numpy as np

from bus_gateway.errors import PortLostError, SecondMasterError
from bus_gateway.line.bleeding import set_point_frames
from bus_gateway.line.discovery import DUPLICATE_BITS, QUICK_LOOK_BITS, ask_who, introduce, uids_at
from bus_gateway.line.exchange import Exchange
from bus_gateway.line.line import Line
from bus_gateway.line.line_configuring import LineConfigurer
from bus_gateway.line.line_faults import LineFaults
from bus_gateway.line.line_turns import Priority
from bus_gateway.line.sweep import runs
from bus_gateway.notices import named
from bus_gateway.wire import encode

CARE_PAUSE_S: Final = 1.0
INTRODUCE_AGAIN_S: Final = 30.0
SUSPECT_SWEEPS: Final = 3
MAX_SUSPECTS: Final = 8
LOOK_AGAIN_S: Final = 10.0
STOPS_AT_OPEN: Final = 3  # not acknowledged: three lost in a row are noise that the sweeps see as well


class LineCare:
    """Tends one line; what it knows of its devices outlives the port.

    Args:
        line: read and written here between sweeps.
        random: seeds of searches.
        configurer: of the same line; None where nobody may write to modules.
    """

    def __init__(self, line: Line, random: Random, configurer: LineConfigurer | None) -> None:
        self._line = line
        self._configurer = configurer
        self._random = random
        self._looked_at: set[int] = set()
        self._introduced_s = float("-inf")
        self._looked_again_s = float("-inf")
        self._faults = LineFaults(line.plan.rows)

    async def tend(self, exchange: Exchange) -> None:
        """Do what sweeps show to be needed, between sweeps, until the line ends.

        First every bleed stops: a renewal is a broadcast and would keep alive what a master before us left running.
        """
        try:
            for _ in range(STOPS_AT_OPEN):
                await exchange.send(encode.stop_all(exchange.next_tag()), Priority.STOP)
            while True:
                await self._acknowledge_resets(exchange)
                await self._keep_set_points(exchange)
                await self._look_for_duplicates(exchange)
                await self._notice_line_faults(exchange)
                await self._introduce(exchange)
                if self._configurer is not None:
                    await self._configurer.tend(exchange)
                await asyncio.sleep(CARE_PAUSE_S)
        except (PortLostError, SecondMasterError):
            return  # the exchange has told its reason to whoever holds the port

    async def _introduce(self, exchange: Exchange) -> None:
        """Ask who is at each address that answers and is not known yet; who does not answer is asked again later."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._introduced_s < INTRODUCE_AGAIN_S:
            return
        self._introduced_s = now_s
        for address in self._line.plan.addresses.tolist():
            row = self._line.row_of(address)
            if row is None or address in self._line.identities:
                continue
            if self._line.buffer.silent_sweeps[row] or not self._line.answered[row]:
                continue
            if (who := await introduce(exchange, address, Priority.BACKGROUND)) is not None:
                self._line.introduced(address, who)
        self._introduced_s = (
            now_s if len(self._line.identities) >= self._line.plan.rows else now_s - INTRODUCE_AGAIN_S + CARE_PAUSE_S
        )

    async def _acknowledge_resets(self, exchange: Exchange) -> None:
        rows = np.flatnonzero(self._line.was_reset)
        if not len(rows):
            return
        self._line.was_reset[:] = False
        addresses = sorted(self._line.plan.addresses[rows].tolist())
        known = [address for address in addresses if address in self._line.identities]
        self._line.say(
            "module.reset",
            "warning" if known else "info",
            f"{len(addresses)} modules were reset, at addresses {named(addresses)}",
            about=named(addresses),
            modules=len(addresses),
            address=addresses[0],
        )
        for start, stop in runs(addresses, encode.MAX_TRAIN):
            await exchange.send(encode.ack_reset(addresses[start], stop - start, exchange.next_tag()))
        for address in known:
            del self._line.identities[address]  # perhaps another module sits there now
        self._introduced_s = float("-inf")

    async def _keep_set_points(self, exchange: Exchange) -> None:
        now_s = asyncio.get_running_loop().time()
        wrong = self._line.set_points.judge(self._line.bleed_byte, self._line.answered, now_s)
        if wrong is None:
            return
        if len(wrong.ended):
            ended = self._line.plan.addresses[wrong.ended].tolist()
            self._line.say(
                "bleed.ended",
                "warning",
                f"modules ended their bleed by themselves: addresses {named(ended)}",
                about=named(ended),
            )
        if len(wrong.disobedient):
            stuck = self._line.plan.addresses[wrong.disobedient].tolist()
            self._line.say("bleed.disobeyed", "error", f"modules bleed although told to stop: addresses {named(stuck)}")
            await exchange.send(encode.stop_all(exchange.next_tag()), Priority.STOP)
            self._line.set_points.stop()
        elif len(wrong.repeat):
            addresses = self._line.plan.addresses[wrong.repeat].tolist()
            for frame in set_point_frames(addresses, self._line.set_points.asked[wrong.repeat].tolist()):
                await exchange.send(frame.encoded(exchange.next_tag()))

    async def _look_for_duplicates(self, exchange: Exchange) -> None:
        """Look at addresses whose slot is damaged again and again, at known duplicates, and once at everybody."""
        now_s = asyncio.get_running_loop().time()
        spoiled = set(self._line.plan.addresses[self._line.buffer.damaged_sweeps >= SUSPECT_SWEEPS].tolist())
        if self._line.duplicates and now_s - self._looked_again_s > LOOK_AGAIN_S:
            self._looked_again_s = now_s
            spoiled |= self._line.duplicates
        for address in sorted(spoiled)[:MAX_SUSPECTS]:
            await self._look_at(exchange, address, DUPLICATE_BITS)
        fresh = [address for address in self._line.identities if address not in self._looked_at][:MAX_SUSPECTS]
        for address in fresh:
            self._looked_at.add(address)
            await self._look_at(exchange, address, QUICK_LOOK_BITS)

    async def _look_at(self, exchange: Exchange, address: int, bits: int) -> None:
        uids = sorted(await uids_at(exchange, address, self._random, bits, Priority.BACKGROUND))
        if len(uids) > 1:
            self._line.duplicates.add(address)
            text = f"address {address} answers twice, as {' and '.join(uids[:4])}: give one of them another address"
            self._line.say("module.duplicate_address", "error", text, about=str(address), address=address)
        elif len(uids) == 1:
            self._line.duplicates.discard(address)

    async def _notice_line_faults(self, exchange: Exchange) -> None:
        changes = self._faults.changes(self._line.buffer, self._line.counters.stray_bytes)
        lost, back = self._line.plan.addresses[changes.lost].tolist(), self._line.plan.addresses[changes.back].tolist()
        if lost:
            text = f"{len(lost)} modules are silent: addresses {named(lost)}"
            self._line.say("module.silent", "warning", text, about=named(lost), modules=len(lost))
            heard = await ask_who(
                exchange, 0, DUPLICATE_BITS, self._random, forget_mutes=True, priority=Priority.BACKGROUND
            )
            if heard.found:
                uids = ", ".join(module.uid for module in heard.found[:4])
                self._line.say("module.unaddressed", "warning", f"modules without address: {uids}", about=uids)
        if back:
            text = f"{len(back)} modules answer again: addresses {named(back)}"
            self._line.say("module.back", "info", text, about=named(back), modules=len(back))
        if changes.is_newly_dead:
            self._line.say("bus.silent", "error", "no module on this line answers: look at its cable and supply")
        if changes.stray_bytes:
            passing = named(self._line.plan.addresses[self._line.answered].tolist()) or "none"
            text = f"something talks without being asked; still read are addresses {passing}"
            self._line.say("bus.babbling", "error", text, stray_bytes=changes.stray_bytes)
