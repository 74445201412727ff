"""Boards as Grafana's JSON. The only file that knows the Grafana Foundation SDK."""

import json
from dataclasses import dataclass
from typing import Any, Final

from cellkeeper.contract.series import EVENT, LOG
from grafana_foundation_sdk.builders import common as commons
from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.builders import heatmap, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models.dashboard import (
    AnnotationQuery,
    DashboardLinkType,
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    FieldColorModeId,
    GridPos,
    Threshold,
    ThresholdsMode,
    VariableModel,
    VariableOption,
    VariableRefresh,
    VariableSort,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode

from dashboards.arranging import placed, steps_of
from dashboards.palette import GREY, LINES, PURPLE, Steps
from dashboards.panels import (
    MAX_TILES,
    Board,
    Change,
    HeatMap,
    Panel,
    States,
    Table,
    Tiles,
    Trend,
    deviation,
    deviation_frac,
)
from dashboards.queries import queries
from dashboards.shown import PLAIN, Shown
from dashboards.tier_rule import AUTO, CHOICES

DATA_SOURCE: Final = "cellkeeper-influx"  # uid; provisioning gives it to the source, `boards push` may use another
TAG: Final = "cellkeeper"
INFLUX: Final = "influxdb"
NUMBERED: Final = frozenset({"cell"})
_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class InfluxQL(Dataquery, Builder["InfluxQL"]):
    """One target of a panel; the SDK has none for InfluxDB."""

    ref_id: str
    query: str
    form: str
    alias: str
    source: DataSourceRef

    def build(self) -> "InfluxQL":
        """Return itself."""
        return self

    def to_json(self) -> dict[str, object]:
        """Return what Grafana's InfluxDB source keeps of a query that a person wrote as text."""
        return {
            "refId": self.ref_id,
            "datasource": self.source,
            "query": self.query,
            "rawQuery": True,
            "resultFormat": self.form,
            "alias": self.alias,
        }


class EventMarks(AnnotationQuery):
    """Events as marks on every chart; the SDK's model knows only Grafana's own annotations."""

    def to_json(self) -> dict[str, object]:
        """Return the model with the columns of an InfluxQL annotation."""
        kind, text = ("kind", EVENT.field("text").stored)
        query = (
            f'SELECT "{text}", "{EVENT.field("severity").stored}", "{kind}" FROM "{LOG}"."{EVENT.name}" '
            "WHERE $timeFilter AND \"site\" = '${site}' ORDER BY time DESC LIMIT 200"
        )
        columns = {"titleColumn": kind, "textColumn": text, "tagsColumn": "severity", "timeEndColumn": ""}
        target = {"refId": "Events", "query": query, "rawQuery": True, "fromAnnotations": True, "textEditor": True}
        return {**super().to_json(), "target": {**target, **columns}}


def drawn(board: Board, source_uid: str = DATA_SOURCE) -> dict[str, Any]:
    """Return a board as Grafana's JSON, as dictionaries.

    Args:
        board: what to draw.
        source_uid: uid of the InfluxDB data source in that Grafana.
    """
    source = DataSourceRef(INFLUX, source_uid)
    builder = dashboards.Dashboard(board.title).uid(board.uid).description(board.about).tags([TAG])
    builder.time(board.since, "now").refresh(board.refresh).timezone("browser").readonly().version(1)
    builder.link(
        dashboards.DashboardLink("Boards").type(DashboardLinkType.DASHBOARDS).tags([TAG]).as_dropdown(as_dropdown=True)
        .include_vars(include_vars=True).keep_time(keep_time=True)
    )  # fmt: skip
    builder.annotations([_Ready(EventMarks("Events", source, enable=True, icon_color=PURPLE))])
    for at, tag in enumerate(board.variables):
        builder.with_variable(_tag_variable(tag, board.variables[:at], source))
    builder.with_variable(_tier_variable())
    for number, (panel, place) in enumerate(placed(board.panels), start=1):
        grid = GridPos(place.height, place.width, place.x, place.y)
        builder.with_panel(_panel(panel, source).id(number).grid_pos(grid))
    return json.loads(json.dumps(builder.build(), cls=JSONEncoder))  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class _Ready[T](Builder[T]):
    model: T

    def build(self) -> T:
        return self.model


def _tag_variable(tag: str, above: tuple[str, ...], source: DataSourceRef) -> dashboards.QueryVariable:
    where = " AND ".join(f"\"{each}\" = '${{{each}}}'" for each in above)
    measurement = "cell" if tag == "cell" else "string"
    query = f'SHOW TAG VALUES FROM "{measurement}" WITH KEY = "{tag}"' + (f" WHERE {where}" if where else "")
    order = VariableSort.NUMERICAL_ASC if tag in NUMBERED else VariableSort.ALPHABETICAL_ASC
    return (
        dashboards.QueryVariable(tag).label(tag.capitalize()).query(query).datasource(source)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).sort(order)
    )  # fmt: skip


def _tier_variable() -> Builder[VariableModel]:
    options = [VariableOption(each == AUTO, each, each) for each in CHOICES]
    return (
        dashboards.CustomVariable("tier").label("Resolution").values(",".join(CHOICES)).options(options)
        .current(options[0]).description("auto follows the range; choose one to look at old days in detail")
    )  # fmt: skip


def _panel(panel: Panel, source: DataSourceRef) -> Any:  # noqa: ANN401  # builders have no common type
    match panel:
        case Trend():
            builder: Any = _trend(panel)
        case Tiles():
            builder = _tiles(panel)
        case Table():
            builder = _table(panel)
        case HeatMap():
            builder = _heat_map(panel)
        case States():
            builder = _states(panel)
        case _:
            raise TypeError(f"no drawing for {type(panel).__name__}")
    builder.title(panel.title).description(panel.about).datasource(source).max_data_points(panel.points)
    builder.targets(_targets(panel, source)).no_value("no data")
    if panel.link:
        builder.data_links([_link(panel)])
    return builder


def _targets(panel: Panel, source: DataSourceRef) -> list[InfluxQL]:
    form, alias = ("time_series", panel.name) if isinstance(panel, Trend | HeatMap) else ("table", "")
    texts = [query.text for question in panel.questions for query in queries(question)]
    return [InfluxQL(ref, text, form, alias, source) for ref, text in zip(_LETTERS, texts, strict=False)]


def _link(panel: Panel) -> dashboards.DashboardLink:
    taken = "&".join(f"var-{tag}=${{__data.fields.{tag}}}" for tag in panel.link_tags if tag in panel.row_tags)
    kept = "&".join(f"var-{tag}=${{{tag}}}" for tag in panel.link_tags if tag not in panel.row_tags)
    query = "&".join(part for part in (kept, taken, "${__url_time_range}") if part)
    return dashboards.DashboardLink(f"Open {panel.link_tags[-1]}").url(f"/d/{panel.link}?{query}")


def _trend(panel: Trend) -> timeseries.Panel:
    own: Shown = panel.questions[0].columns[0].shown
    builder = timeseries.Panel().unit(own.unit).decimals(own.decimals).fill_opacity(0).line_width(1.5)
    builder.color_scheme(dashboards.FieldColor().mode(FieldColorModeId.CONTINUOUS_BL_YL_RD))
    builder.legend(commons.VizLegendOptions().show_legend(show_legend=panel.legend))
    builder.tooltip(commons.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI))
    match panel.style:
        case "points":
            builder.draw_style(common.GraphDrawStyle.POINTS).point_size(6)
        case "bars":
            builder.draw_style(common.GraphDrawStyle.BARS).fill_opacity(60)
        case "line":
            builder.draw_style(common.GraphDrawStyle.LINE).show_points(common.VisibilityMode.AUTO)
    drawn_names = {column.name for question in panel.questions for column in question.columns}
    for name, colour in LINES.items():
        if name not in drawn_names:
            continue
        builder.override_by_name(name, [DynamicConfigValue("color", {"mode": "fixed", "fixedColor": colour})])
    return builder


def _heat_map(panel: HeatMap) -> heatmap.Panel:
    own: Shown = panel.questions[0].columns[0].shown
    colour = heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Cividis").steps(64).min(0)
    builder = heatmap.Panel().calculate(calculate=False).cell_gap(0).color(colour)
    builder.cell_values(heatmap.CellValues().unit(own.unit).decimals(own.decimals))
    return builder.y_axis(heatmap.YAxisConfig().unit(PLAIN.unit).decimals(0).reverse(reverse=True))


def _states(panel: States) -> statetimeline.Panel:
    words = {
        text: {"text": word, "color": colour, "index": at}
        for at, (text, (word, colour)) in enumerate(panel.words.items())
    }
    builder = statetimeline.Panel().merge_values(merge_values=True).fill_opacity(80).line_width(0).row_height(0.8)
    builder.legend(commons.VizLegendOptions().show_legend(show_legend=False))
    builder.color_scheme(dashboards.FieldColor().mode(FieldColorModeId.FIXED).fixed_color(GREY))
    for name in (column.name for question in panel.questions for column in question.columns):
        builder.override_by_name(name, [DynamicConfigValue("mappings", [{"type": "value", "options": words}])])
    return builder


def _tiles(panel: Tiles) -> stat.Panel:
    builder = stat.Panel().unit(panel.value.shown.unit).decimals(panel.value.shown.decimals)
    rows = commons.ReduceDataOptions().values(values=True).limit(MAX_TILES).fields(f"/^{panel.value.name}$/").calcs([])
    builder.reduce_options(rows).color_mode(common.BigValueColorMode.BACKGROUND_SOLID)
    builder.graph_mode(common.BigValueGraphMode.NONE).text_mode(common.BigValueTextMode.VALUE_AND_NAME)
    builder.display_name(f"${{__data.fields.{panel.label}}}").thresholds(_thresholds(panel.steps))
    builder.color_scheme(dashboards.FieldColor().mode(FieldColorModeId.THRESHOLDS))
    _numbered(builder)
    return builder.transformations(_changes(panel.change, keep=None))


def _table(panel: Table) -> table.Panel:
    builder = table.Panel().cell_height(common.TableCellHeight.SM)
    own = {column.name: column.shown for question in panel.questions for column in question.columns}
    if panel.change is not None and panel.change.against[0]:
        field = panel.questions[0].columns[0].parts[0].field
        own |= {each.name: each.shown for each in (deviation(field), deviation_frac(field))}
    for name, how in own.items():
        if how is not PLAIN:
            builder.override_by_name(name, _unit(how))
    for name, steps in panel.coloured.items():
        background = {"type": "color-background", "mode": "basic"}
        builder.override_by_name(name, [
            DynamicConfigValue("custom.cellOptions", background), DynamicConfigValue("thresholds", _steps(steps)),
            DynamicConfigValue("color", {"mode": "thresholds"}),
        ])  # fmt: skip
    _numbered(builder)
    if panel.newest_first:
        builder.sort_by([commons.TableSortByFieldState().display_name("Time").desc(desc=True)])
    return builder.transformations(_changes(panel.change, keep=panel.columns))


def _changes(change: Change | None, keep: tuple[str, ...] | None) -> list[DataTransformerConfig]:
    return [DataTransformerConfig(step.id_val, options=step.options) for step in steps_of(change, keep)]


def _numbered(builder: Any) -> None:  # noqa: ANN401  # builders have no common type
    for tag in sorted(NUMBERED):
        builder.override_by_name(tag, _unit(PLAIN))


def _unit(how: Shown) -> list[DynamicConfigValue]:
    found = [DynamicConfigValue("unit", how.unit), DynamicConfigValue("decimals", how.decimals)]
    if how.words:
        options = {str(code): {"text": word, "index": at} for at, (code, word) in enumerate(how.words)}
        found.append(DynamicConfigValue("mappings", [{"type": "value", "options": options}]))
    return found


def _steps(steps: Steps) -> dict[str, object]:
    first: dict[str, object] = {"value": None, "color": steps.base}
    return {"mode": "absolute", "steps": [first, *({"value": at, "color": colour} for at, colour in steps.above)]}


def _thresholds(steps: Steps) -> dashboards.ThresholdsConfig:
    told = [Threshold(None, steps.base), *(Threshold(at, colour) for at, colour in steps.above)]
    return dashboards.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(told)
