"""``blindsr models``: list the packaged models, or print the card of one."""

from __future__ import annotations

import argparse
import shutil
import textwrap

from blindsr_jax.cli.arguments import Commands, add_command


def add(commands: Commands) -> None:
    """Add the subcommand."""
    text = "List the packaged models, and those without weights; or say all about one."
    command = add_command(commands, "models", run, text)
    command.add_argument("name", nargs="?", help="a packaged model, to read its card")


def run(arguments: argparse.Namespace) -> int:
    """``blindsr models``: list the packaged models, or print the card of one."""
    if arguments.name:
        from blindsr_jax.evaluation.cards import card

        print(card(arguments.name), end="")
        return 0
    from blindsr_jax.weights.zoo import LEARNING, WITHOUT_WEIGHTS, facts_of, is_default, models, use_of

    rows = []
    for name in models():
        scale, parameters = facts_of(name)
        use = use_of(name).replace("`", "")
        rows.append((name, scale, f"{parameters / 1e6:.2f} M", f"Default. {use}" if is_default(name) else use))
    for name, (line, _) in (WITHOUT_WEIGHTS | LEARNING).items():
        scale, _, use = line.partition(", ")
        rows.append((name, scale, "0", use[0].upper() + use[1:] + "."))
    print("\n".join(_table([("MODEL", "SCALE", "PARAMETERS", "USE IT FOR"), *rows])))
    print("\n'blindsr models NAME' says all about one: what it is for, where it fails, its scores, how it was made")
    return 0


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    """Aligned columns; the last one is wrapped to the terminal's width."""
    *widths, _ = (max(map(len, column)) for column in zip(*rows))
    start = sum(widths) + 2 * len(widths)
    room = max(shutil.get_terminal_size((120, 24)).columns - start, 30)
    lines = []
    for row in rows:
        first, *rest = textwrap.wrap(row[-1], room)
        lines.append("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths)), first]))
        lines += [" " * start + line for line in rest]
    return lines
