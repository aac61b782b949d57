"""The command line: parse, call, print; no logic.

Bad input of any kind is one line on standard error and exit code 2; Ctrl-C is exit code 130.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import cast


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 a crashed worker, 2 bad input, 130 interrupted."""
    sys.exit(run(sys.argv[1:] if arguments is None else list(arguments)))


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code."""
    import typer
    from typer.main import get_command

    from prunegap.cli.app import app
    from prunegap.model.errors import BadInputError

    # UsageError, wherever this version of typer keeps it.
    usage_error = cast(type[Exception], typer.BadParameter.__bases__[0])
    try:
        return int(get_command(app).main(list(arguments), "prunegap", standalone_mode=False) or 0)
    except BadInputError as error:
        return _complain(str(error), 2)
    except OSError as error:
        return _complain(f"{error.filename or 'system'}: {error.strerror or error}; check the path and the space", 2)
    except (KeyboardInterrupt, typer.Abort):
        return _complain("interrupted", 130)
    except usage_error as error:
        return _complain(_usage_message(error), 2)


def _usage_message(error: BaseException) -> str:
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    context = getattr(error, "ctx", None)
    command = "prunegap" if context is None else context.command_path
    return f"{' '.join(message.split()).rstrip('.')}; see {command} --help"


def _complain(message: str, code: int) -> int:
    print("error: " + " ".join(message.splitlines()), file=sys.stderr)
    return code
