"""Sets a document as an A4 PDF. The only file that knows reportlab; the same document gives the same bytes."""

from collections.abc import Iterator, Sequence
from functools import cache
from io import BytesIO
from typing import Any, Final
from xml.sax.saxutils import escape

from reportlab import rl_config
from reportlab.lib.colors import Color, HexColor
from reportlab.lib.enums import TA_LEFT, TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFError, TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    Flowable,
    Frame,
    Image,
    KeepTogether,
    PageBreak,
    PageTemplate,
    Paragraph,
    Spacer,
    Table,
)
from reportlab.platypus.doctemplate import LayoutError

from analytics.paper.blocks import Banner, Block, Document, Facts, Figures, Grid, Heading, Picture, Signatures, Text
from analytics.paper.drawing import font_file
from analytics.paper.errors import PaperError

PLAIN, BOLD = "CellkeeperSans", "CellkeeperSans-Bold"
MARGIN_MM: Final = 18.0
TOP_MM: Final = 24.0
WIDTH: Final = A4[0] - 2 * MARGIN_MM * mm
INK, SOFT, RULE, TINT = HexColor("#202428"), HexColor("#5F666D"), HexColor("#C9CDD2"), HexColor("#F3F5F7")
MOODS: Final = {"good": "#009E73", "warn": "#E69F00", "bad": "#D55E00", "open": "#5F666D"}
_ALIGN: Final = {"l": "LEFT", "r": "RIGHT", "c": "CENTER"}


def pdf_of(document: Document) -> bytes:
    """Return a document as PDF.

    Raises:
        PaperError: it cannot be set, for example because a single field is longer than a page.
    """
    _set_up()
    sheet = BytesIO()
    frame = Frame(MARGIN_MM * mm, 18 * mm, WIDTH, A4[1] - (TOP_MM + 18) * mm, 0, 0, 0, 0)
    template = BaseDocTemplate(
        sheet,
        pagesize=A4,
        title=document.title,
        author="Cellkeeper",
        subject=document.subject,
        keywords=[document.keywords],
        creator="Cellkeeper",
        lang="en",
        invariant=1,
        pageTemplates=[PageTemplate(frames=[frame])],
    )
    story = [_title(document), Spacer(0, 3 * mm)]
    story += _story(document.blocks)

    def numbered(*args: Any, **kwargs: Any) -> _NumberedCanvas:  # noqa: ANN401  # as reportlab calls it
        return _NumberedCanvas(document, *args, **kwargs)

    try:
        template.build(story, canvasmaker=numbered)
    except LayoutError as exc:
        raise PaperError(f"a page of {document.title!r} cannot be set: {str(exc)[:200]}") from exc
    return sheet.getvalue()


@cache
def _set_up() -> None:
    rl_config.useA85 = 0  # pictures as they are: text-safe coding costs a second and a fifth of the size
    try:
        pdfmetrics.registerFont(TTFont(PLAIN, str(font_file())))
        pdfmetrics.registerFont(TTFont(BOLD, str(font_file(bold=True))))
    except (TTFError, OSError) as exc:
        raise PaperError(f"the typeface is missing ({exc}); install matplotlib whole") from exc
    pdfmetrics.registerFontFamily(PLAIN, normal=PLAIN, bold=BOLD, italic=PLAIN, boldItalic=BOLD)


class _NumberedCanvas(Canvas):
    """Holds every page back until the number of pages is known."""

    def __init__(self, document: Document, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # as reportlab calls it
        super().__init__(*args, **kwargs)
        self._document = document
        self._held: list[dict[str, Any]] = []

    def showPage(self) -> None:  # noqa: N802  # reportlab's name
        """Hold the page back."""
        self._held.append(dict(self.__dict__))
        self._startPage()  # type: ignore[attr-defined]  # the only way to begin a page that is held back

    def save(self) -> None:
        """Write all pages with header, footer and number."""
        for at, page in enumerate(self._held, 1):
            self.__dict__.update(page)
            self._frame_page(at, len(self._held))
            super().showPage()
        super().save()

    def _frame_page(self, at: int, pages: int) -> None:
        left, right = MARGIN_MM * mm, A4[0] - MARGIN_MM * mm
        self.setStrokeColor(RULE)
        self.setLineWidth(0.5)
        self.line(left, A4[1] - 17 * mm, right, A4[1] - 17 * mm)
        self.line(left, 14 * mm, right, 14 * mm)
        self.setFillColor(SOFT)
        self.setFont(BOLD, 7.5)
        self.drawString(left, A4[1] - 14.5 * mm, self._document.title)
        self.setFont(PLAIN, 7)
        self.drawRightString(right, A4[1] - 14.5 * mm, self._document.header)
        self.drawString(left, 10 * mm, self._document.footer)
        self.drawRightString(right, 10 * mm, f"Page {at} of {pages}")


def _style(size: float, *, bold: bool = False, colour: Color = INK, right: bool = False) -> ParagraphStyle:
    return ParagraphStyle(
        name="text",
        fontName=BOLD if bold else PLAIN,
        fontSize=size,
        leading=size * 1.38,
        textColor=colour,
        alignment=TA_RIGHT if right else TA_LEFT,
        splitLongWords=1,
    )


def _written(text: str, style: ParagraphStyle) -> Paragraph:
    return Paragraph(escape(text), style)


def _title(document: Document) -> Flowable:
    rows = [
        [_written(document.title, _style(17, bold=True))],
        [_written(document.subtitle, _style(9.5, colour=SOFT))],
    ]
    return Table(rows, colWidths=[WIDTH], style=[("LEFTPADDING", (0, 0), (-1, -1), 0)])


def _story(blocks: Sequence[Block]) -> Iterator[Flowable]:
    """Yield everything in order; a heading stays with what it heads."""
    held: list[Flowable] = []
    for block in blocks:
        if isinstance(block, Heading):
            yield from held
            if block.new_page:
                yield PageBreak()
            held = [Spacer(0, 3 * mm), _written(block.text, _style(11, bold=True)), Spacer(0, 1.5 * mm)]
            continue
        found = _flowables(block)
        yield from [KeepTogether([*held, *found])] if held and not isinstance(block, Grid) else [*held, *found]
        held = []
    yield from held


def _flowables(block: Text | Picture | Signatures | Banner | Figures | Grid | Facts) -> list[Flowable]:
    match block:
        case Text(text=text, small=small):
            style = _style(7 if small else 8, colour=SOFT if small else INK)
            return [_written(text, style), Spacer(0, 1.5 * mm)]
        case Picture(png=png, width_mm=width_mm, height_mm=height_mm):
            wide = min(width_mm * mm, WIDTH)
            return [Image(BytesIO(png), wide, wide * height_mm / width_mm), Spacer(0, 2 * mm)]
        case Signatures():
            return [KeepTogether([Spacer(0, 10 * mm), _signatures(block)])]
        case _:
            return [_table(block), Spacer(0, 2.5 * mm)]


def _table(block: Banner | Figures | Grid | Facts) -> Table:
    match block:
        case Banner():
            return _banner(block)
        case Figures():
            return _figures(block)
        case Grid():
            return _grid(block)
        case Facts():
            return _facts(block)


def _banner(banner: Banner) -> Table:
    colour = HexColor(MOODS[banner.mood])
    words = [_written(banner.title, _style(12, bold=True)), Spacer(0, 1 * mm)]
    words += [_written(line, _style(8.5)) for line in banner.lines]
    return Table(
        [["", words]],
        colWidths=[3 * mm, WIDTH - 3 * mm],
        style=[
            ("BACKGROUND", (0, 0), (0, 0), colour),
            ("BACKGROUND", (1, 0), (1, 0), TINT),
            ("LEFTPADDING", (1, 0), (1, 0), 4 * mm),
            ("TOPPADDING", (0, 0), (-1, -1), 3 * mm),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 3 * mm),
        ],
    )


def _figures(figures: Figures) -> Table:
    cells = [
        [
            _written(name, _style(7, colour=SOFT)),
            _written(value, _style(12, bold=True)),
            _written(remark, _style(7, colour=SOFT)),
        ]
        for name, value, remark in figures.cells
    ]
    rule = [("LINEBEFORE", (at, 0), (at, 0), 0.5, RULE) for at in range(1, len(cells))]
    return Table(
        [cells], colWidths=[WIDTH / len(cells)] * len(cells), style=[("VALIGN", (0, 0), (-1, -1), "TOP"), *rule]
    )


def _grid(grid: Grid) -> Table:
    header = [
        _written(text, _style(7, bold=True, right=align == "r"))
        for text, align in zip(grid.header, grid.align, strict=True)
    ]
    rows = [
        [
            _written(text, _style(7.5, bold=at in grid.strong, right=align == "r"))
            for text, align in zip(row, grid.align, strict=True)
        ]
        for at, row in enumerate(grid.rows)
    ]
    total = sum(grid.widths)
    return Table(
        [header, *rows],
        colWidths=[WIDTH * each / total for each in grid.widths],
        repeatRows=1,
        style=[
            ("BACKGROUND", (0, 0), (-1, 0), TINT),
            ("LINEBELOW", (0, 0), (-1, 0), 0.7, SOFT),
            ("LINEBELOW", (0, 1), (-1, -1), 0.3, RULE),
            ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
            ("TOPPADDING", (0, 0), (-1, -1), 1.6),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 2.4),
            *(("ALIGN", (at, 0), (at, -1), _ALIGN[align]) for at, align in enumerate(grid.align)),
        ],
    )


def _facts(facts: Facts) -> Table:
    per_column = -(-len(facts.pairs) // facts.columns)
    rows = [list(_fact_row(facts, at, per_column)) for at in range(per_column)]
    one = WIDTH / facts.columns
    return Table(
        rows,
        colWidths=[one * 0.36, one * 0.64] * facts.columns,
        style=[
            ("LINEBELOW", (0, 0), (-1, -1), 0.3, RULE),
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("TOPPADDING", (0, 0), (-1, -1), 1.4),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 2.2),
            ("LEFTPADDING", (0, 0), (-1, -1), 1),
        ],
    )


def _fact_row(facts: Facts, at: int, per_column: int) -> Iterator[Flowable]:
    for column in range(facts.columns):
        place = at + column * per_column
        name, value = facts.pairs[place] if place < len(facts.pairs) else ("", "")
        yield _written(name, _style(7.5, colour=SOFT))
        yield _written(value, _style(7.5))


def _signatures(signatures: Signatures) -> Table:
    gap = 6 * mm
    wide = (WIDTH - gap * (len(signatures.roles) - 1)) / len(signatures.roles)
    row: list[Any] = []
    for role in signatures.roles:
        row += [_written(role, _style(7, colour=SOFT)), ""]
    row.pop()
    return Table(
        [[""] * len(row), row],
        colWidths=[gap if at % 2 else wide for at in range(len(row))],
        rowHeights=[12 * mm, None],
        style=[
            *(("LINEABOVE", (at, 1), (at, 1), 0.7, INK) for at in range(0, len(row), 2)),
            ("LEFTPADDING", (0, 0), (-1, -1), 0),
        ],
    )
