"""`cellkeeper analyse` as somebody runs it."""

import typer
from analytics.analyse.commands import analyse
from analytics.analyse.errors import AnalyseError
from typer.testing import CliRunner


def run(*arguments, expect=0):
    app = typer.Typer()
    app.command()(analyse)
    result = CliRunner().invoke(app, [str(each) for each in arguments])
    if expect is not None:
        assert result.exit_code == expect, result.output
    return result


def refused(*arguments):
    """Return why a run failed."""
    result = run(*arguments, expect=1)
    assert isinstance(result.exception, AnalyseError), result.output
    return str(result.exception)


def require_wrong_use(option, *arguments):
    """See that a run ends as wrong use, because of this very option."""
    _, _, said = run(*arguments, expect=2).output.partition("Invalid value")
    assert option in said, said
