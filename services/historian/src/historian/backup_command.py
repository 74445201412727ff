"""`cellkeeper backup`: the site's keys and its history into a folder, while everything runs."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, Literal

import typer
from cellkeeper import __version__
from cellkeeper.backup.book import BackupBook, FileEntry
from cellkeeper.backup.errors import BackupFailedError
from cellkeeper.backup.learned import StateFolders, copy_learned
from cellkeeper.backup.place import BackupPlace, Draft
from cellkeeper.backup.site_archive import write_archive
from cellkeeper.contract.moment import from_ms, to_ms
from cellkeeper.contract.series import DAY_MS
from cellkeeper.contract.site_file import load_site
from cellkeeper.runtime.history_api import DEFAULT_URL, HistoryUnavailableError, history_at
from cellkeeper.site_folder.layout import SiteFolder

from historian.backup.days import DayCopy
from historian.backup.embedded_files import copy_store
from historian.export.asking import Historian
from historian.life_file import FILE as LIVES
from historian.main import SERVICE

DEFAULT_KEPT: Final = 30  # a month of nights

type Part = Literal["all", "site", "history"]
type Kind = Literal["embedded", "influx"]

Place = Annotated[Path, typer.Option("--to", envvar="CELLKEEPER_BACKUP_DIR", help="the folder of all backups")]
State = Annotated[
    Path | None,
    typer.Option("--state", envvar="CELLKEEPER_STATE_DIR", help="where services keep their state; else SITE/state"),
]

Apart = Annotated[
    Path | None,
    typer.Option(
        "--apart",
        envvar="CELLKEEPER_APART_DIR",
        help="holds the state folders, by name, of services that share none with the historian, as containers do",
    ),
]


def backup(  # noqa: PLR0913  # options of a command line, each with a default
    site: Annotated[Path, typer.Argument(help="the site's folder, as `cellkeeper init` made it")],
    to: Place,
    *,
    state: State = None,
    apart: Apart = None,
    store: Annotated[Kind, typer.Option(envvar="CELLKEEPER_STORE", help="where history is")] = "embedded",
    url: Annotated[
        str, typer.Option(help="where the historian answers; asked when history is in InfluxDB")
    ] = DEFAULT_URL,
    only: Annotated[Part, typer.Option(help="the site's folder with its keys, or history, or all")] = "all",
    encrypt: Annotated[
        str | None,
        typer.Option(envvar="CELLKEEPER_BACKUP_ENCRYPT", help="program for the keys, such as 'age -r RECIPIENT'"),
    ] = None,
    keep: Annotated[int, typer.Option(min=1, help="backups that stay; older ones are removed")] = DEFAULT_KEPT,
) -> None:
    """Back up a site while it runs: keys, policy and tokens as one archive, history as files that never change.

    With history goes what services learned and the papers that they made. What an earlier backup in the folder has is
    not copied again. A backup counts when it is whole: one that is cut off leaves those before it as they were.
    """
    folder = SiteFolder(site)
    folder.require()
    place, now = BackupPlace(to), datetime.now(UTC)
    kind = None if only == "site" else store
    where = state or folder.state
    with place.drafting(now, kind) as draft:
        files = [] if kind is None else _history(kind, where, url, draft, now)
        learned = [] if kind is None else list(copy_learned(StateFolders(where, apart), draft))
        archive = None if only == "history" else write_archive(site, draft, encrypt)
        book = BackupBook(
            made_by=__version__,
            site=load_site(folder.site_file).site.id,
            made_at=now,
            complete_to=_complete_to(kind, now),
            store=kind,
            site_archive=archive,
            encrypted=archive is not None and encrypt is not None,
            files=tuple(files),
            learned=tuple(learned),
        )
        place.finish(draft, book)
        gone = place.thin(keep)
    _tell(to, draft, book, gone)


def _history(kind: Kind, state: Path, url: str, draft: Draft, now: datetime) -> list[FileEntry]:
    own = state / SERVICE
    files = [draft.keep(lives.read_bytes(), LIVES)] if (lives := own / LIVES).exists() else []
    if kind == "embedded":
        return files + copy_store(own / "history", draft, time.sleep)
    try:
        with history_at(url) as api:
            return files + list(DayCopy(Historian(api), draft, to_ms(now) // DAY_MS).run())
    except HistoryUnavailableError as exc:
        raise BackupFailedError(f"{exc}; no new backup, those before it are untouched") from exc


def _complete_to(kind: Kind | None, now: datetime) -> datetime | None:
    match kind:
        case None:
            return None
        case "embedded":
            return now
        case "influx":
            return from_ms(to_ms(now) // DAY_MS * DAY_MS)


def _tell(to: Path, draft: Draft, book: BackupBook, gone: list[str]) -> None:
    total = sum(entry.bytes for entry in book.shared)
    typer.echo(
        f"{to / draft.stamp}: {len(book.files)} files of history, {len(book.learned)} of what services learned, "
        f"{total} bytes; {draft.copied} bytes were new"
    )
    if book.store == "influx":
        typer.echo(
            f"history up to {book.complete_to:%Y-%m-%d %H:%M} UTC; today's comes with the next backup after midnight"
        )
    if book.site_archive is not None and not book.encrypted:
        typer.echo("its archive holds private keys and tokens for root only; --encrypt what leaves this machine")
    if gone:
        typer.echo(f"removed {len(gone)} older backups")
