"""A program: named commands, help that teaches, progress on stderr, one JSON summary on stdout, an exit code.

Enters: the words of a command line. Leaves: 0 done, 1 data fault, 2 usage or configuration, 130 or 143 stopped
by a signal. Refuses to print the message or traceback of an unexpected error, since it may hold a patient's
data: the error's type and place are printed, and `T3DKIT_DEBUG=1` shows the rest.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from t3dkit.errors import ConfigError, ProgramError
from t3dkit.progress import Progress

Summary = dict[str, Any]


@dataclass(frozen=True)
class Command:
    """One command of a program.

    Parameters
    ----------
    name : str
        As typed.
    help : str
        One line for the list of commands.
    arguments : callable
        Adds the command's arguments to its parser.
    run : callable
        Does the job: parsed arguments and progress in, JSON-able summary out. The summary key ``exit_code``,
        when given, becomes the exit code and is not printed.
    description : str
        What the command does, with an example; shown by ``--help``.
    goes_on : str
        What to do after it was stopped by a signal.
    """

    name: str
    help: str
    arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, Progress], Summary]
    description: str = ""
    goes_on: str = "run the same command again to go on"


@dataclass(frozen=True)
class Program:
    """A package as a program: ``python -m NAME COMMAND ...``."""

    name: str
    description: str
    commands: Sequence[Command] = field(default_factory=tuple)


class Stopped(BaseException):
    """SIGTERM, turned into an exception so that writers clean up; a BaseException so that no handler eats it."""


def run_program(program: Program, words: Sequence[str] | None = None) -> int:
    """Parse `words`, run the command, print its summary, answer the exit code."""
    parser = _parser(program)
    try:
        arguments = parser.parse_args(words)
    except SystemExit as stop:  # argparse prints and exits; tests and callers want the code
        return int(stop.code or 0)
    command: Command = arguments.command_
    previous = _catch_sigterm()
    try:
        with Progress(quiet=arguments.quiet) as progress:
            summary = command.run(arguments, progress)
        code = int(summary.pop("exit_code", 0))
        print(json.dumps(finite(summary), ensure_ascii=False, allow_nan=False), flush=True)
        return code
    except ProgramError as error:
        print(f"{program.name} {command.name}: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        return 1
    except KeyboardInterrupt:
        print(f"{program.name} {command.name}: interrupted; {command.goes_on}", file=sys.stderr)
        return 130
    except Stopped:
        print(f"{program.name} {command.name}: stopped; {command.goes_on}", file=sys.stderr)
        return 143
    except Exception as error:
        print(f"{program.name} {command.name}: {_place(error)}", file=sys.stderr)
        return 1
    finally:
        if previous is not None:
            signal.signal(signal.SIGTERM, previous)


def finite(value: Any) -> Any:
    """`value` with every number that is not finite as None: JSON has no NaN."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def existing_path(text: str, *, what: str) -> Path:
    """`text` as a path that exists.

    Raises
    ------
    ConfigError
        Nothing is there.
    """
    path = Path(text)
    if not path.exists():
        raise ConfigError(f"{what} {text!r} does not exist: give the path of an existing file or folder")
    return path


def _parser(program: Program) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m {program.name}",
        description=program.description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in program.commands:
        sub = subparsers.add_parser(
            command.name,
            help=command.help,
            description=command.description or command.help,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.arguments(sub)
        sub.add_argument("--quiet", action="store_true", help="no progress on stderr")
        sub.set_defaults(command_=command)
    return parser


def _catch_sigterm() -> Any:
    def stop(_signal: int, _frame: Any) -> None:
        raise Stopped

    try:
        return signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not the main thread: a test, or a program inside a program
        return None


def _place(error: Exception) -> str:
    if os.environ.get("T3DKIT_DEBUG"):
        return "".join(traceback.format_exception(error))
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "unknown place"
    return (
        f"internal error {type(error).__name__} at {where}. Its message is withheld because it may hold patient "
        "data; set T3DKIT_DEBUG=1 to see it, and please report it"
    )
