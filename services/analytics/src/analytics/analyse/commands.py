"""`cellkeeper analyse FILE`: charge with bounds, discharges and capacity from a recorded file."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Final, Literal

import typer
from cellkeeper.contract.recorded_rows import RowLayout
from cellkeeper.contract.recorded_times import Times
from rich.console import Console
from rich.progress import track

from analytics.analyse.battery import Battery, require_fit, rules_of, with_temperature
from analytics.analyse.errors import AnalyseError
from analytics.analyse.files import SUFFIXES, write_dossiers, write_result
from analytics.analyse.offline import as_tests, estimated
from analytics.analyse.series import Series, series_of, with_string_values
from analytics.analyse.sources import is_long, known_layout, long_rows, names_in, rows_of, separated, times_in
from analytics.analyse.telling import Analysis, told
from analytics.dossier.words import length

SHOWN_NAMES: Final = 300
ROW_S: Final = 0.0012  # what a row takes, on one core of a server
LONG_S: Final = 120.0

Column = Annotated[str | None, typer.Option(help="its column")]
Columns = Annotated[list[str] | None, typer.Option(help="its column; once per unit, or with * for all: cell_v_*")]


def analyse(  # noqa: PLR0913  # the options of a command line
    file: Annotated[
        Path, typer.Argument(help="CSV or Parquet: our export, a logger's file, or any with named columns")
    ],
    *,
    chemistry: Annotated[str, typer.Option(help="vrla_agm, vented_lead, nicd, nizn, nmc, lfp, lto, na_ion")],
    rated_ah: Annotated[float, typer.Option(min=0.01, max=20_000.0, help="rated charge")],
    cells_per_unit: Annotated[
        int, typer.Option(min=1, max=24, help="cells in series in a unit; 6 in a 12 V block")
    ] = 1,
    rate_h: Annotated[float, typer.Option(min=0.05, max=100.0, help="hours of the rated charge")] = 10.0,
    ref_degc: Annotated[float, typer.Option(min=0.0, max=40.0, help="temperature of the rated charge")] = 20.0,
    end_v: Annotated[float | None, typer.Option(help="end voltage of one cell; the chemistry's when absent")] = None,
    degc: Annotated[
        float | None, typer.Option(min=-40.0, max=80.0, help="temperature, where the file has none")
    ] = None,
    table: Annotated[str | None, typer.Option(help="maker's table at this end voltage: 10:10.0,5:18.2,1:61")] = None,
    time: Column = None,
    voltage: Columns = None,
    current: Column = None,
    temperature: Columns = None,
    string_voltage: Column = None,
    columns: Annotated[str | None, typer.Option(help="names of a file without a header row: a,b,c")] = None,
    sign: Annotated[Literal["charge", "discharge"], typer.Option(help="what a positive current does")] = "charge",
    time_format: Annotated[
        str, typer.Option(help="iso, seconds, milliseconds, or a pattern: '%d.%m.%Y %H:%M:%S'")
    ] = "iso",
    timezone: Annotated[
        str | None, typer.Option(help="zone of times that name none, for example Europe/Berlin; UTC when absent")
    ] = None,
    start_at: Annotated[str | None, typer.Option(help="instant of second 0")] = None,
    voltage_in: Annotated[Literal["V", "mV"], typer.Option(help="unit of the voltages")] = "V",
    current_in: Annotated[Literal["A", "mA"], typer.Option(help="unit of the current")] = "A",
    skip_lines: Annotated[int, typer.Option(min=0, max=10_000, help="before the header row")] = 0,
    delimiter: Annotated[str | None, typer.Option(help="between fields; as in the header row when absent")] = None,
    decimal: Annotated[Literal[".", ","], typer.Option(help="decimal sign")] = ".",
    string_file: Annotated[Path | None, typer.Option(help="our export of the string's values: its current")] = None,
    bad_rows: Annotated[Literal["skip", "fail"], typer.Option(help="what a row does that cannot be read")] = "skip",
    soc_start: Annotated[float | None, typer.Option(min=0.0, max=1.0, help="charge at the first row, if known")] = None,
    test: Annotated[bool, typer.Option("--test", help="the discharges are capacity tests")] = False,
    out: Annotated[list[Path] | None, typer.Option(help="write NAME.csv, .parquet, .svg or .png; several")] = None,
    dossier: Annotated[Path | None, typer.Option(help="folder for the dossier of every discharge")] = None,
) -> None:
    """Run the estimators over a recorded file: charge with bounds, discharges, capacity with its uncertainty."""
    _require_options(out or (), delimiter, decimal)
    if start_at is not None and time_format not in {"seconds", "milliseconds"}:
        raise typer.BadParameter("--start-at is the instant of second 0: it goes with --time-format seconds")
    battery = Battery(chemistry, rated_ah, cells_per_unit, rate_h, ref_degc, end_v, degc, *_table(table))
    named = tuple(name.strip() for name in columns.split(",")) if columns else None
    given = RowLayout(
        time=time or "", voltages=tuple(voltage or ()), temperatures=tuple(temperature or ()), current=current,
        string_voltage=string_voltage, columns=named, current_sign=1 if sign == "charge" else -1,
        time_format=time_format, start_at=start_at, delimiter=delimiter or "", decimal=decimal,
        zone=timezone or "UTC", skip_lines=skip_lines,
        voltage_scale=0.001 if voltage_in == "mV" else 1.0, current_scale=0.001 if current_in == "mA" else 1.0,
    )  # fmt: skip
    series, times = _read(file, given, string_file, fatal=bad_rows == "fail")
    analysis = _analysis(file.name, battery, series, soc_start)
    analysis = replace(analysis, is_zone_guessed=times.is_local and timezone is None)
    if test:
        analysis = replace(analysis, outcome=as_tests(analysis.outcome))
    for line in told(analysis):
        typer.echo(line)
    for path in out or ():
        write_result(path, analysis)
        typer.echo(f"{path} written", err=True)
    for path in write_dossiers(dossier, analysis) if dossier is not None else ():
        typer.echo(f"{path} written", err=True)


def _require_options(out: Iterable[Path], delimiter: str | None, decimal: str) -> None:
    for path in out:
        if path.suffix not in SUFFIXES:
            raise typer.BadParameter(f"{path}: --out ends in {', '.join(SUFFIXES)}")
    if delimiter is not None and (len(delimiter) != 1 or delimiter == decimal):
        raise typer.BadParameter("--delimiter is one character other than the decimal sign")


def _table(text: str | None) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return hours and amperes of `10:10.0,5:18.2`."""
    if not text:
        return (), ()
    try:
        pairs = [tuple(map(float, each.split(":"))) for each in text.split(",")]
        hours, amps = zip(*pairs, strict=True)
    except ValueError as exc:
        raise typer.BadParameter("--table is hours:amperes,hours:amperes for one end voltage") from exc
    if not all(0.0 < value < float("inf") for value in (*hours, *amps)):
        raise typer.BadParameter("--table has hours and amperes above 0")
    for (less_h, more_a), (more_h, less_a) in pairwise(sorted(pairs)):
        if not (less_h < more_h and less_a < more_a and less_h * more_a <= more_h * less_a):
            raise typer.BadParameter(
                f"--table says {more_a:g} A for {less_h:g} h and {less_a:g} A for {more_h:g} h: what lasts longer is a "
                "smaller current and at least as much charge; is it hours:amperes?"
            )
    return tuple(hours), tuple(amps)


def _analysis(name: str, battery: Battery, series: Series, soc_start: float | None) -> Analysis:
    require_fit(battery, series)
    series = with_temperature(series, battery)
    console = Console(stderr=True)

    def shown(rows: range) -> Iterable[int]:
        return track(rows, "rows", console=console, transient=True, disable=not console.is_terminal)

    needed_s = ROW_S * len(series.at_s)
    if needed_s > LONG_S:
        typer.echo(f"{len(series.at_s)} rows will take about {length(needed_s)}", err=True)
    outcome = estimated(series, rules_of(battery, series), soc_frac=soc_start, told=shown)
    return Analysis(name, battery, series, outcome)


def _read(file: Path, given: RowLayout, string_file: Path | None, *, fatal: bool) -> tuple[Series, Times]:
    """Return a file, and what was seen of its times."""
    given = separated(file, given)
    times = times_in(given)
    names = list(given.columns) if given.columns else names_in(file, given.delimiter, given.skip_lines)
    is_own = not given.time and not given.voltages
    if is_own and is_long(names):
        rows = long_rows(file, given.delimiter, given.decimal)
    else:
        rows = rows_of(file, _layout(file, names, given, is_own=is_own), times)
    series = series_of(rows, fatal=fatal)
    if string_file is None:
        return series, times
    own = separated(string_file, RowLayout("measured_at", (), (), "current_a", delimiter=""))
    own = replace(own, decimal="." if own.delimiter == "," else given.decimal)  # it need not be written like the other
    own = replace(own, string_voltage=_if_there("string_v", names_in(string_file, own.delimiter)))
    return with_string_values(series, rows_of(string_file, own)), times


def _layout(file: Path, names: Sequence[str], given: RowLayout, *, is_own: bool) -> RowLayout:
    known = known_layout(names, given) if is_own else None
    if known is not None:
        return known
    if not given.time or not given.voltages:
        raise AnalyseError(
            f"{file}: say which columns are what: --time NAME --voltage NAME [--current NAME] [--temperature NAME]; "
            f"the file has {', '.join(names)[:SHOWN_NAMES]}"
        )
    voltages, temperatures = (_spread(each, names) for each in (given.voltages, given.temperatures))
    if len(set(voltages)) < len(voltages):
        raise AnalyseError("one column is the voltage of two units; name each once")
    if len(temperatures) not in (0, 1, len(voltages)):
        raise AnalyseError(
            f"{len(voltages)} voltages and {len(temperatures)} temperatures: give one, one each, or none"
        )
    return replace(given, voltages=voltages, temperatures=temperatures)


def _spread(wanted: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    """Return column names, those with a * in the order of the file."""
    found: list[str] = []
    for each in wanted:
        begin, star, end = each.partition("*")
        matches = [n for n in names if n.startswith(begin) and n.endswith(end)] if star else [each]
        if not matches:
            raise AnalyseError(f"no column fits {each!r}; the file has {', '.join(names)[:SHOWN_NAMES]}")
        found += matches
    return tuple(found)


def _if_there(name: str, names: Sequence[str]) -> str | None:
    return name if name in names else None
