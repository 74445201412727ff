"""`cellkeeper restore`: a backup is checked as a whole, then its parts go where nothing is yet."""

import os
from contextlib import closing
from pathlib import Path
from typing import Annotated, Final

import typer
from cellkeeper.backup.book import BackupBook, FileEntry, require_whole
from cellkeeper.backup.errors import RestoreRefusedError
from cellkeeper.backup.learned import StateFolders, put_learned_back, require_places
from cellkeeper.backup.place import BackupPlace
from cellkeeper.backup.site_archive import require_empty, unpack_archive
from cellkeeper.contract.series import DAY_MS, TierName
from cellkeeper.runtime.clock import SystemClock
from cellkeeper.runtime.errors import StartRefusedError
from cellkeeper.runtime.service import only_instance
from cellkeeper.runtime.whole_file import whole_file

from historian.backup.day_history import DayHistory, days_with_rows
from historian.backup.embedded_files import FOLDER as HISTORY
from historian.backup.putting_back import put_store_back
from historian.backup_command import Apart
from historian.errors import HistorianError
from historian.life_file import FILE as LIVES
from historian.main import SERVICE, open_store
from historian.migrate_command import move_and_compare
from historian.migration.moving import Move
from historian.settings import HistorianSettings

MARGIN_MS: Final = 3_600_000  # rows that expire while they are being written would look lost
FOR_EVER: Final = {f"keep_{tier}_days": 0 for tier in ("full", "1m", "15m", "1d")}


def restore(  # noqa: PLR0913  # options of a command line, each with a default
    place: Annotated[Path, typer.Argument(metavar="BACKUPS", help="the folder of all backups")],
    *,
    at: Annotated[str | None, typer.Option("--at", help="name of one backup; the newest when absent")] = None,
    site: Annotated[
        Path | None, typer.Option("--site", help="put the site's folder with its keys here; it must not exist yet")
    ] = None,
    history: Annotated[
        bool, typer.Option("--history", help="put history into the store that the CELLKEEPER_ settings choose")
    ] = False,
    decrypt: Annotated[
        str | None,
        typer.Option(envvar="CELLKEEPER_BACKUP_DECRYPT", help="program for the keys, such as 'age -d -i key.txt'"),
    ] = None,
    go_on: Annotated[bool, typer.Option("--go-on", help="complete a restore into InfluxDB that was cut off")] = False,
    apart: Apart = None,
) -> None:
    """Check a backup, and put the site's folder or history back. Without --site and --history it only checks.

    Everything that is to be restored is checked against its hash before anything is written; what is not empty is
    refused. Stop the historian before --history.
    """
    folder = BackupPlace(place)
    stamp, book = folder.read(at)
    typer.echo(f"{place / stamp}: site {book.site}, made by {book.made_by}")
    everything = site is None and not history
    if (everything or site is not None) and book.site_archive is not None:
        require_whole(place / stamp, book.site_archive)
    if everything or history:
        for entry in book.shared:
            require_whole(place, entry)
    if everything:
        typer.echo(f"whole: {len(book.files)} files of history" + (", the site's folder" if book.site_archive else ""))
    if site is not None:
        _restore_site(place / stamp, book, site, decrypt)
    if history:
        _restore_history(place, book, apart, go_on=go_on)


def _restore_site(own: Path, book: BackupBook, site: Path, decrypt: str | None) -> None:
    if book.site_archive is None:
        raise RestoreRefusedError("this backup holds history only; name another one with --at")
    if book.encrypted and decrypt is None:
        raise RestoreRefusedError("the keys in this backup are encrypted; give the program that decrypts, --decrypt")
    unpack_archive(own / book.site_archive.path, site, decrypt if book.encrypted else None)
    typer.echo(f"{site}: as it was at {book.made_at:%Y-%m-%d %H:%M} UTC, with keys and owners")
    typer.echo(
        f"next: cellkeeper certificates renew {site}; remove readers that left since: cellkeeper readers list {site}"
    )
    if os.geteuid() != 0:
        typer.echo(
            "not run as root: all files belong to you; `sudo cellkeeper init` gives them to their users", err=True
        )


def _restore_history(place: Path, book: BackupBook, apart: Path | None, *, go_on: bool) -> None:
    if book.store is None:
        raise RestoreRefusedError("this backup holds keys only; name another one with --at")
    settings = HistorianSettings.from_environment(service=os.environ.get("CELLKEEPER_SERVICE", SERVICE))
    own, states = settings.own_dir(), StateFolders(settings.state_dir, apart)
    require_places(book.learned, states)
    try:
        with only_instance(settings.state_dir, settings.service):
            if book.store == "embedded":
                _put_files_back(place, book, settings)
            else:
                _put_days_back(place, book, settings, go_on=go_on)
    except (HistorianError, StartRefusedError) as exc:
        raise RestoreRefusedError(str(exc)) from exc
    _put_lives_back(place, book.files, own)
    learned = put_learned_back(place, book.learned, states, own)
    typer.echo(
        f"history is back, up to {book.complete_to:%Y-%m-%d %H:%M} UTC, and {learned} of {len(book.learned)} files of "
        "what services learned; next: start the services"
    )


def _put_files_back(place: Path, book: BackupBook, settings: HistorianSettings) -> None:
    if settings.store != "embedded":
        raise RestoreRefusedError(
            "this backup is of the embedded store; restore it with CELLKEEPER_STORE=embedded, then `cellkeeper migrate "
            "--to influx`"
        )
    stats = put_store_back(place, book.files, settings.own_dir() / HISTORY, book.site)
    typer.echo(f"{stats.files} files, {stats.bytes_on_disk} bytes")


def _put_days_back(place: Path, book: BackupBook, settings: HistorianSettings, *, go_on: bool) -> None:
    influx = settings.store == "influx"
    source = DayHistory(place, book.files, _since_ms(settings) if influx else {})
    if not influx:
        require_empty(settings.own_dir() / HISTORY)
        settings = settings.model_copy(update=FOR_EVER)  # retention is the historian's, afterwards
    with closing(open_store(settings, book.site)) as target:
        target.begin()
        if target.strings() and not go_on:
            raise RestoreRefusedError(
                "the store has history of this site already; empty it, or add --go-on when this restore was cut off"
            )
        typer.echo(f"{days_with_rows(book.files)} days of strings at full resolution")
        move_and_compare(Move(source, target, book.site), "the store says what the backup says")


def _since_ms(settings: HistorianSettings) -> dict[TierName, int]:
    """Return by tier what InfluxDB would refuse as too old."""
    now_ms = SystemClock().now_ms()
    kept: list[tuple[TierName, int]] = [("full", settings.keep_full_days), ("1m", settings.keep_1m_days)]
    kept += [("15m", settings.keep_15m_days), ("1d", settings.keep_1d_days)]
    return {tier: now_ms - days * DAY_MS + MARGIN_MS for tier, days in kept if days}


def _put_lives_back(place: Path, entries: tuple[FileEntry, ...], own: Path) -> None:
    entry = next((each for each in entries if each.restores == LIVES), None)
    if entry is None or (own / LIVES).exists():
        return
    like = own.stat()
    with whole_file(own / LIVES, uid=like.st_uid) as sink:
        sink.write((place / entry.path).read_bytes())
