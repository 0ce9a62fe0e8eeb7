"""`nightshelf doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from producer.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from db.doctor.finding import Finding

_COLOURS = {"ok": "green", "warning": "yellow", "bad": "red", "fatal": "bold red"}
# A longer value moves what follows it in its own line, and not in all.
_VALUE_WIDTH = 44


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON list of the findings.")] = False,
) -> None:
    """Look at the broker, the database, the storage, the devices and the libraries.

    A line each: what, value, verdict (ok, warning, bad, fatal), and the cure. On what is fatal a
    worker refuses to start. Ends with 4 if there are only warnings, and with 5 if anything is bad.
    """
    from db.settings import settings
    from producer import console
    from producer.doctor import examine

    found = examine(settings())
    if as_json:
        console.print_json([one.as_dict() for one in found])
    else:
        _print(found)
    raise typer.Exit(exit_code(found))


def exit_code(found: Sequence[Finding]) -> ExitCode:
    """How the command ends: by the worst of what was found."""
    verdicts = {one.verdict.value for one in found}
    if verdicts & {"bad", "fatal"}:
        return ExitCode.BAD_FINDINGS
    return ExitCode.ONLY_WARNINGS if "warning" in verdicts else ExitCode.OK


def _print(found: Sequence[Finding]) -> None:
    from rich.text import Text

    from producer import console

    what_width = max(len(one.what) for one in found)
    for one in found:
        line = Text(f"{one.what:<{what_width}}  {one.value:<{_VALUE_WIDTH}}  ")
        line.append(f"{one.verdict.value:<7}", style=_COLOURS[one.verdict.value])
        line.append(f"  {one.cure}")
        line.rstrip()
        console.stdout.print(line, soft_wrap=True)
