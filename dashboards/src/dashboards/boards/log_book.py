"""Questions to the log book that several boards ask."""

from typing import Final

from cellkeeper.contract.series import EVENT

from dashboards.panels import Table
from dashboards.queries import Question, column

ENTRIES: Final = 100
OF_CELL: Final = (
    '"body" =~ /"string":"${string:regex}"/',
    '"body" =~ /"cell":${cell:regex}[,}]/',
)
OF_STRING: Final = OF_CELL[:1]
TEXT: Final = column(EVENT.field("text"), "raw")
SEVERITY: Final = column(EVENT.field("severity"), "raw")


def entries(title: str, about: str, *where: str, width: int = 24) -> Table:
    """Return a table of the newest events of the range that meet some conditions."""
    question = Question(EVENT, (SEVERITY, TEXT), "rows", by=("service", "kind"), where=where, log=True, limit=ENTRIES)
    columns = ("Time", "severity", "service", "kind", "text")
    return Table(title=title, about=about, questions=(question,), columns=columns, newest_first=True, width=width)
