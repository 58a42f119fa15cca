"""``Parser``: an argument parser whose errors suggest what may have been meant."""

from __future__ import annotations

import argparse
import difflib
import re
import typing


class Parser(argparse.ArgumentParser):
    """``argparse.ArgumentParser`` with suggestions, and help that keeps the lines of its examples.

    Args:
      examples: lines that are shown below the options.
    """

    def __init__(self, *arguments: typing.Any, examples: typing.Sequence[str] = (), **options: typing.Any):
        if examples:
            options["epilog"] = "\n".join(["examples:", *(f"  {line}" for line in examples)])
            options["formatter_class"] = argparse.RawDescriptionHelpFormatter
        super().__init__(*arguments, **options)

    def parse_known_args(self, args: typing.Any = None, namespace: typing.Any = None) -> typing.Any:
        """Parse, and refuse unknown options here, where the subcommand's own are known."""
        known, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return known, unknown

    def error(self, message: str) -> typing.NoReturn:
        """Exit with code 2 after a message, which suggests the nearest option or choice."""
        super().error(message + self._suggestion(message))

    def _suggestion(self, message: str) -> str:
        if message.startswith("unrecognized arguments:"):
            words = [word.split("=")[0] for word in message.split()[2:] if word.startswith("-")]
            known = list(self._option_string_actions)
        elif found := re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message):
            words, known = [found[1]], re.findall(r"[\w.-]+", found[2])
        else:
            return ""
        near = [match for word in words for match in difflib.get_close_matches(word, known, 1)]
        return f"; did you mean {', '.join(near)}?" if near else ""
