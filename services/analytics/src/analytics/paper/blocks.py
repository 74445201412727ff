"""A document as data: headings, sentences, tables and pictures in the order of reading. Pure; `pdf.py` sets it."""

from dataclasses import dataclass
from typing import Literal

type Mood = Literal["good", "warn", "bad", "open"]
type Align = Literal["l", "r", "c"]


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading; the first of a page group begins a new page when asked."""

    text: str
    new_page: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph; `small` for notes."""

    text: str
    small: bool = False


@dataclass(frozen=True, slots=True)
class Banner:
    """The most important statement of a document, with what it rests on."""

    title: str
    lines: tuple[str, ...]
    mood: Mood


@dataclass(frozen=True, slots=True)
class Figures:
    """Key figures in a row: (name, value, remark) each."""

    cells: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """A table with a header row.

    Attributes:
        header: titles of the columns.
        rows: as many fields each.
        widths: shares of the page's width.
        align: per column.
        strong: rows to point out, by index.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    widths: tuple[float, ...]
    align: tuple[Align, ...]
    strong: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and values in two columns of pairs."""

    pairs: tuple[tuple[str, str], ...]
    columns: int = 2


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG, as wide as the text."""

    png: bytes
    width_mm: float
    height_mm: float


@dataclass(frozen=True, slots=True)
class Signatures:
    """Lines to sign on, one per role."""

    roles: tuple[str, ...]


type Block = Heading | Text | Banner | Figures | Grid | Facts | Picture | Signatures


@dataclass(frozen=True, slots=True)
class Document:
    """A whole document.

    Attributes:
        title: on the first page and in the header of every page.
        subtitle: below it on the first page.
        header: at the right of every header.
        footer: at the left of every footer; the page number stands at the right.
        subject, keywords: metadata.
        blocks: in order.
    """

    title: str
    subtitle: str
    header: str
    footer: str
    subject: str
    keywords: str
    blocks: tuple[Block, ...]
