"""Writes docs/cli.md: the command line, made of its own help texts."""

from collections.abc import Iterator

import click

from tms_bridge.cli.program import program

HEAD = """# The command line

Generated from the commands by `make docs`; do not edit.

## Completion

The shell completes commands, options and files once it is told how. For bash 4.4 or newer, in `~/.bashrc`:

```sh
eval "$(_TMS_BRIDGE_COMPLETE=bash_source tms-bridge)"
```

For zsh, in `~/.zshrc`, after `compinit`:

```sh
eval "$(_TMS_BRIDGE_COMPLETE=zsh_source tms-bridge)"
```

For fish, once:

```sh
_TMS_BRIDGE_COMPLETE=fish_source tms-bridge > ~/.config/fish/completions/tms-bridge.fish
```
"""

WIDTH = 100


def render() -> str:
    """Return the help text of every command, in the order of `tms-bridge --help`."""
    context = program.context_class(
        program, info_name="tms-bridge", terminal_width=WIDTH, help_option_names=["-h", "--help"]
    )
    return "\n".join([HEAD, *_sections(program, context)])


def _sections(command: click.Command, context: click.Context) -> Iterator[str]:
    text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    level = min(context.command_path.count(" ") + 2, 4)
    yield f"{'#' * level} {context.command_path}\n\n```text\n{text}\n```\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None:
                yield from _sections(child, child.context_class(child, info_name=name, parent=context))
