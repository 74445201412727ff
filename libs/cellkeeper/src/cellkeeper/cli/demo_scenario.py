"""Whether the twin can play the scenario that the demo is asked for; the library imports no service.

Shipped scenarios are found by file; a person's file is judged by what is registered as `cellkeeper.scenarios`, a
function that is given the file and the site and returns problems in words.
"""

from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from cellkeeper.contract.site import Site
from cellkeeper.runtime.errors import StartRefusedError

TWIN_PACKAGE: Final = "twin"
CHECKS_GROUP: Final = "cellkeeper.scenarios"
SCENARIOS: Final = Path("script", "scenarios")


def refuse_unknown_scenario(scenario: str | None) -> None:
    """Return if the scenario is a file or comes with the twin; an absent twin is told elsewhere.

    Raises:
        StartRefusedError: it is neither; lists those there are.
    """
    if scenario is None:
        return
    known = shipped_scenarios()
    is_file = Path(scenario).suffix == ".toml"
    if Path(scenario).is_file() if is_file else scenario in known or not known:
        return
    problem = "is not a file" if is_file else "does not come with the twin"
    raise StartRefusedError(
        f"DEMO_SCENARIO={scenario} {problem}; choose {', '.join(known)}, or the path of a .toml file that is there"
    )


def refuse_wrong_scenario(scenario: str | None, site: Site) -> None:
    """Return if a person's scenario file can be played on this site; shipped ones and an absent twin pass.

    Raises:
        StartRefusedError: with file, line and what to do for everything that is wrong.
    """
    if scenario is None or Path(scenario).suffix != ".toml":
        return
    problems = [problem for check in entry_points(group=CHECKS_GROUP) for problem in check.load()(Path(scenario), site)]
    if problems:
        raise StartRefusedError("\n".join([f"DEMO_SCENARIO={scenario} cannot be played:", *problems]))


def shipped_scenarios() -> list[str]:
    """Return the names of the scenarios that come with the twin; none when it is not installed."""
    spec = find_spec(TWIN_PACKAGE)  # of a top-level package: nothing of it runs
    folders = [] if spec is None else spec.submodule_search_locations or []
    return sorted(file.stem for folder in folders for file in (Path(folder) / SCENARIOS).glob("*.toml"))
