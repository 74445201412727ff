"""Boards into an existing Grafana over its HTTP API. The only file that knows grafana-client."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from grafana_client import GrafanaApi  # type: ignore[import-untyped]
from grafana_client.client import (  # type: ignore[import-untyped]
    GrafanaClientError,
    GrafanaException,
    GrafanaUnauthorizedError,
)
from requests.exceptions import RequestException

from dashboards.errors import GrafanaAwayError, GrafanaRefusedError

FOLDER_UID: Final = "cellkeeper"
DEADLINE_S: Final = 15.0  # of one request; Grafana stores a board in well under one


def publish(url: str, token: str, folder: str, source: str, boards: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Put boards into a folder of a Grafana, replacing those of the same uid; yield a line for each.

    Args:
        url: of the Grafana, with its path if it has one.
        token: of a service account that may edit.
        folder: title of the folder; its uid is fixed, so a renamed one is found again.
        source: uid of the data source that the boards name.
        boards: as `drawing.drawn` returns them.

    Raises:
        GrafanaRefusedError: the token, the data source or a board is not taken; the text says which.
        GrafanaAwayError: no answer.
    """
    api = GrafanaApi.from_url(url.rstrip("/") + "/", credential=token, timeout=DEADLINE_S)
    try:
        _require_source(api, source)
        yield from _folder(api, folder)
        for board in boards:
            api.dashboard.update_dashboard({"dashboard": board, "folderUid": FOLDER_UID, "overwrite": True})
            yield f"{board['title']}: {url.rstrip('/')}/d/{board['uid']}"
    except GrafanaUnauthorizedError as exc:
        raise GrafanaRefusedError(
            f"Grafana at {url} does not know the token; make one for a service account of role Editor"
        ) from exc
    except GrafanaException as exc:
        raise GrafanaRefusedError(f"Grafana at {url} refuses: {exc.message}") from exc
    except RequestException as exc:
        raise GrafanaAwayError(
            f"Grafana at {url} does not answer ({type(exc).__name__}); start it or correct --url"
        ) from exc


def _require_source(api: Any, source: str) -> None:  # noqa: ANN401  # the library has no types
    try:
        found = api.datasource.get_datasource_by_uid(source)
    except GrafanaUnauthorizedError:
        raise
    except GrafanaClientError as exc:
        raise GrafanaRefusedError(
            f"there is no data source {source}; add InfluxDB with query language InfluxQL, and name its uid by --source"
        ) from exc
    if found["type"] != "influxdb":
        raise GrafanaRefusedError(f"data source {source} is {found['type']}, not influxdb; name another by --source")


def _folder(api: Any, title: str) -> Iterator[str]:  # noqa: ANN401  # the library has no types
    try:
        api.folder.get_folder(FOLDER_UID)
    except GrafanaUnauthorizedError:
        raise
    except GrafanaClientError:
        api.folder.create_folder(title, uid=FOLDER_UID)
        yield f"folder {title} made"
