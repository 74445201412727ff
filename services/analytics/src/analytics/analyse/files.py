"""Writes what an analysis made: a table as CSV or Parquet, a plot as SVG or PNG."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from cellkeeper.runtime.whole_file import whole_file

from analytics.analyse.battery import context_of
from analytics.analyse.errors import AnalyseError
from analytics.analyse.telling import Analysis, plot_of, table_of
from analytics.dossier.context import DossierBasis
from analytics.dossier.files import write_dossier
from analytics.dossier.record_file import save_record
from analytics.paper.drawing import drawn

SUFFIXES: Final = (".csv", ".parquet", ".svg", ".png")
SCREEN_DPI: Final = 110
INSTANT: Final = "%Y-%m-%dT%H:%M:%SZ"  # arrow writes the milliseconds with the seconds


def write_result(path: Path, analysis: Analysis) -> None:
    """Write a table or a plot, as the suffix of the path says.

    Raises:
        AnalyseError: the suffix is another, or the file cannot be written.
    """
    try:
        match path.suffix:
            case ".csv":
                _write(path, _csv(table_of(analysis)))
            case ".parquet":
                _write(path, _parquet(table_of(analysis)))
            case ".svg":
                _write(path, drawn(plot_of(analysis), "svg"))
            case ".png":
                _write(path, drawn(plot_of(analysis), "png", SCREEN_DPI))
            case _:
                raise AnalyseError(f"{path}: --out ends in {', '.join(SUFFIXES)}")
    except OSError as exc:
        raise AnalyseError(f"{path}: {exc.strerror or exc}; choose another --out") from exc


def write_dossiers(folder: Path, analysis: Analysis) -> Iterator[Path]:
    """Write record and dossier of every discharge of a file, and yield each PDF.

    Raises:
        DossierNotWrittenError: the folder does not take them.
    """
    context = context_of(analysis.battery, analysis.name)
    for record in analysis.outcome.records:
        basis = DossierBasis(record, context)
        save_record(folder, basis)
        yield write_dossier(basis, folder).pdf


def _write(path: Path, body: bytes) -> None:
    with whole_file(path) as sink:
        sink.write(body)


def _csv(table: pa.Table) -> bytes:
    texts = pa.table({name: _text(table[name]) for name in table.column_names})
    sink = pa.BufferOutputStream()
    sink.write((",".join(table.column_names) + "\n").encode())
    pa_csv.write_csv(texts, sink, pa_csv.WriteOptions(include_header=False, quoting_style="none"))
    return sink.getvalue().to_pybytes()


def _text(column: Any) -> Any:  # noqa: ANN401  # chunked arrays of any type
    if pa.types.is_timestamp(column.type):
        return pc.strftime(column, format=INSTANT)
    return pc.fill_null(column.cast(pa.string()), "")


def _parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue().to_pybytes()
