"""The command line: `adagen-rt COMMAND`.

Exit status: 0 success, 1 some samples failed (or `doctor` found no usable backend),
2 bad input, said in one line on stderr; 130 after Ctrl-C, 143 after SIGTERM.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from adagen_rt.cli.support.ending import Interrupted, ending_cleanly
from adagen_rt.cli.support.verbosity import LOGGER, with_verbosity
from adagen_rt.errors import AdagenError

#: Commands in the order that help lists them; each is loaded when it is used, so that
#: generating never waits for the training half.
COMMANDS = (
    "generate",
    "bulk",
    "serve",
    "list",
    "inspect",
    "doctor",
    "pull",
    "export",
    "quantize",
    "build",
    "bundle",
    "triton-repository",
    "data",
    "train",
    "evaluate",
    "bench",
)


class Failure(click.ClickException):
    """One line on stderr, exit status 2."""

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class LazyGroup(click.Group):
    """Loads a command when it is used, and turns errors into one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the commands' names for the help text."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load the command of that name."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"adagen_rt.cli.{cmd_name.replace('-', '_')}")
        # Python has a "list" of its own.
        command = getattr(module, "list_" if cmd_name == "list" else cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return with_verbosity(command)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            with ending_cleanly():
                return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise Interrupted(error) from None
        except click.exceptions.NoArgsIsHelpError:
            raise
        except click.UsageError as error:
            raise Failure(error.format_message()) from error
        except AdagenError as error:
            LOGGER.debug("where it comes from:", exc_info=error)
            raise Failure(str(error)) from error
        except ImportError as error:
            raise Failure(f"{error}; adagen-rt doctor shows what is installed") from error
        except BrokenPipeError:
            raise
        except OSError as error:
            LOGGER.debug("where it comes from:", exc_info=error)
            where = f"{error.filename}: " if error.filename else ""
            raise Failure(f"{where}{error.strerror or error}") from error


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="adagen-rt")
def main() -> None:
    """Generate images with a schedule that a policy network adapts to each of them."""
