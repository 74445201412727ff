"""Writes an export to a file that is there whole or not at all."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from cellkeeper.runtime.whole_file import whole_file

from historian.errors import ExportFailedError
from historian.export.layout import as_text


@dataclass(frozen=True, slots=True)
class CsvStyle:
    """How a CSV is written; Excel of half of Europe wants `;` and `,`."""

    delimiter: str = ","
    decimal: str = "."

    def __post_init__(self) -> None:
        """Refuse a delimiter that is the decimal sign too; raises ExportFailedError."""
        if len(self.delimiter) != 1 or self.decimal not in (".", ",") or self.delimiter == self.decimal:
            raise ExportFailedError("the delimiter is one character other than the decimal sign, which is . or ,")


@contextmanager
def exported_file(path: Path) -> Iterator[BinaryIO]:
    """Give a file to write that takes the place of `path` when the block ends well, and leaves no trace else.

    Raises:
        ExportFailedError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as sink:
            yield sink
    except OSError as exc:
        raise ExportFailedError(f"{path}: {exc.strerror or exc}; choose another --out or make room") from exc


def write_csv(path: Path, tables: Iterable[pa.Table], style: CsvStyle) -> int:
    """Write tables of one schema as one CSV with one header; return the number of rows.

    Raises:
        ExportFailedError: it cannot be written.
    """
    rows, started = 0, False
    with exported_file(path) as sink:
        for table in tables:
            if not started:
                sink.write((style.delimiter.join(table.column_names) + "\n").encode())
                started = True
            options = pa_csv.WriteOptions(include_header=False, delimiter=style.delimiter, quoting_style="none")
            pa_csv.write_csv(as_text(table, style.decimal), sink, options)
            rows += table.num_rows
    return rows


def write_parquet(path: Path, tables: Iterable[pa.Table]) -> int:
    """Write tables of one schema as one Parquet file; return the number of rows.

    Raises:
        ExportFailedError: it cannot be written, or there is nothing to write.
    """
    rows = 0
    with exported_file(path) as sink:
        writer: pq.ParquetWriter | None = None
        for table in tables:
            writer = writer or pq.ParquetWriter(sink, table.schema, compression="zstd")
            writer.write_table(table)
            rows += table.num_rows
        if writer is None:
            raise ExportFailedError("there is nothing to export in that range")
        writer.close()
    return rows
