"""`cellkeeper provision`: make an InfluxDB 2 server ready for the historian and for dashboards."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer
from cellkeeper.contract.series import DATABASE, FULL, TIERS
from rich.console import Console

from historian.errors import HistorianError, ProvisionFailedError
from historian.settings import DEFAULT_INFLUX_URL
from historian.stores.influx.provision import ProvisionPlan, provision
from historian.stores.influx.server import Target

MAX_DAYS: Final = 36_600


def _days(tier: str) -> Any:  # noqa: ANN401  # what typer makes of an option
    """Return the option of a tier; the variable is the one that the embedded store follows."""
    return typer.Option(min=0, max=MAX_DAYS, envvar=f"CELLKEEPER_KEEP_{tier}_DAYS", help="days to keep, 0 for ever")


def _token(role: str) -> Any:  # noqa: ANN401  # what typer makes of an option
    """Return the option of one token's own file."""
    return typer.Option(help=f"file of the {role}'s token, else {role}.token in the folder")


def provision_influx(  # noqa: PLR0913  # options of a command line, each with a default
    *,
    url: Annotated[
        str, typer.Option(envvar="CELLKEEPER_INFLUX_URL", help="where the server answers")
    ] = DEFAULT_INFLUX_URL,
    org: Annotated[str, typer.Option(envvar="CELLKEEPER_INFLUX_ORG", help="organisation")] = DATABASE,
    database: Annotated[
        str, typer.Option(envvar="CELLKEEPER_INFLUX_DATABASE", help="first part of the buckets' names")
    ] = DATABASE,
    tokens: Annotated[Path, typer.Option(help="folder of operator.token, historian.token and reader.token")] = Path(
        "secrets"
    ),
    operator_token: Annotated[Path | None, _token("operator")] = None,
    historian_token: Annotated[Path | None, _token("historian")] = None,
    reader_token: Annotated[Path | None, _token("reader")] = None,
    keep_full_days: Annotated[int, _days("FULL")] = FULL.keep_days,
    keep_1m_days: Annotated[int, _days("1M")] = TIERS[0].keep_days,
    keep_15m_days: Annotated[int, _days("15M")] = TIERS[1].keep_days,
    keep_1d_days: Annotated[int, _days("1D")] = TIERS[2].keep_days,
) -> None:
    """Make what an InfluxDB needs: first user, buckets, database mapping, tokens. A second run changes nothing.

    A fresh server is set up with the operator's token of the folder, made when it is missing; for a server that is in
    use, put its operator token there first. Run it again after a bucket or token was deleted: the historian goes on by
    itself.
    """
    target = Target(url, org, operator_token or tokens / "operator.token", database)
    days = {"full": keep_full_days, "1m": keep_1m_days, "15m": keep_15m_days, "1d": keep_1d_days}
    plan = ProvisionPlan(
        target, days, historian_token or tokens / "historian.token", reader_token or tokens / "reader.token"
    )
    console = Console(stderr=True)
    changed = 0
    try:
        for line in provision(plan):
            console.print(line, highlight=False, soft_wrap=True)
            changed += 1
    except (HistorianError, OSError) as exc:
        raise ProvisionFailedError(str(exc)) from exc
    if not changed:
        console.print(f"{url} has everything; nothing was changed", highlight=False, soft_wrap=True)
