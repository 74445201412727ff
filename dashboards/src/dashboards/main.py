"""`cellkeeper boards`: write the boards as files, push them to a Grafana, ask their questions of an InfluxDB."""

import time
from pathlib import Path
from typing import Annotated, Final

import typer
from cellkeeper.contract.moment import parse_ms
from cellkeeper.contract.series import DATABASE
from rich.console import Console

from dashboards.boards import ALL
from dashboards.drawing import DATA_SOURCE, drawn
from dashboards.errors import BoardsError
from dashboards.files import written
from dashboards.rehearsal import Answer, Asked, InfluxQuestioner, rehearse
from dashboards.tier_rule import View

app: Final = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Grafana boards, generated from the storage table."
)
SLOW_MS: Final = 300.0
HOUR_MS: Final = 3_600_000


@app.command()
def write(folder: Annotated[Path, typer.Argument(help="where the JSON files go")]) -> None:
    """Write every board as a JSON file, for a Grafana that reads them from a folder."""
    try:
        names = written(folder)
    except OSError as exc:
        raise BoardsError(f"{folder}: {exc.strerror}; choose a folder that can be written") from exc
    Console(stderr=True).print(f"{len(names)} boards in {folder}", highlight=False)


@app.command()
def push(
    *,
    url: Annotated[str, typer.Option(help="where Grafana answers, for example https://grafana.example/grafana")],
    token_file: Annotated[Path, typer.Option(help="file with the token of a service account of role Editor")],
    source: Annotated[str, typer.Option(help="uid of the InfluxDB data source (InfluxQL) there")] = DATA_SOURCE,
    folder: Annotated[str, typer.Option(help="title of the folder that the boards go into")] = "Cellkeeper",
) -> None:
    """Put the boards into an existing Grafana; a second run replaces what the first one put there."""
    from dashboards.publish import publish  # noqa: PLC0415  # its HTTP client is slow to load

    console = Console(stderr=True)
    boards = [drawn(board, source) for board in ALL]
    for line in publish(url, _secret(token_file), folder, source, boards):
        console.print(line, highlight=False, soft_wrap=True)


@app.command()
def check(  # noqa: PLR0913  # options of a command line, each with a default
    *,
    url: Annotated[str, typer.Option(envvar="CELLKEEPER_INFLUX_URL", help="where InfluxDB answers")],
    token_file: Annotated[Path, typer.Option(help="file with a token that may read")],
    database: Annotated[str, typer.Option(help="first part of the buckets' names")] = DATABASE,
    site: Annotated[str, typer.Option(help="id of the site")],
    string: Annotated[str, typer.Option(help="id of a string")],
    cell: Annotated[int, typer.Option(help="a position in it", min=1)] = 1,
    hours: Annotated[float, typer.Option(help="length of the range", min=0.01)] = 3.0,
    until: Annotated[str, typer.Option(help="end of the range, like 2026-11-21T05:00:00.000Z; else now")] = "",
) -> None:
    """Ask every question of every board as Grafana would; say which panel gets no data and which is slow."""
    now_ms = _instant_ms(until) if until else int(time.time() * 1000)
    view = View(now_ms - int(hours * HOUR_MS), now_ms, now_ms)
    chosen = {"site": site, "string": string, "cell": str(cell)}
    console = Console()
    with InfluxQuestioner(url, database, _secret(token_file)) as questioner:
        for asked, answer in rehearse(ALL, view, chosen, questioner):
            console.print(_told(asked, answer), highlight=False, soft_wrap=True)


def _instant_ms(text: str) -> int:
    try:
        return parse_ms(text)
    except ValueError as exc:
        raise BoardsError(f"--until: {exc}") from exc


def _told(asked: Asked, answer: Answer) -> str:
    said = f"{answer.rows} rows" if answer.rows else "no data"
    slow = ", slow" if answer.took_ms > SLOW_MS else ""
    return f"{asked.board.title} / {asked.panel.title}: {said} in {answer.took_ms:.0f} ms{slow}"


def _secret(file: Path) -> str:
    try:
        return file.read_text("utf-8").strip()
    except OSError as exc:
        raise BoardsError(f"{file}: {exc.strerror}; name a file that holds the token and nothing else") from exc
