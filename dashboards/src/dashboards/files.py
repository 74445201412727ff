"""The boards as files: what `make docs` writes and `make check` compares."""

import json
from pathlib import Path

from dashboards.boards import ALL
from dashboards.drawing import drawn


def board_files() -> dict[str, bytes]:
    """Return each board's file by name; the same boards give the same bytes."""
    return {f"{board.uid}.json": _json(drawn(board)) for board in ALL}


def _json(board: object) -> bytes:
    return (json.dumps(board, indent=1, ensure_ascii=False) + "\n").encode()


def written(folder: Path) -> list[str]:
    """Write the files into a folder; return their names.

    Raises:
        OSError: it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = board_files()
    for name, body in files.items():
        (folder / name).write_bytes(body)
    return list(files)
