"""Results as a JSON file and as Markdown tables beside it."""

from __future__ import annotations

import json
import math
import pathlib
import typing

from blindsr_jax.files import write_text


def write(result: dict[str, typing.Any], path: pathlib.Path) -> str:
    """Write the result to ``path`` and an ``.md`` beside it; return the Markdown. Raises DataError if it cannot."""
    text = markdown(result)
    write_text(path, json.dumps(_rounded(result), indent=1) + "\n")
    write_text(path.with_suffix(".md"), text)
    return text


def markdown(result: dict[str, typing.Any]) -> str:
    """The title, the description, the machine and options, and every table."""
    lines = [f"# {result['suite']}", "", result["about"], ""]
    facts = {name: result.get(name) for name in ("model", "parameters", "work", "host")}
    facts |= result.get("sides", {}) | {"dtype": result["dtype"]}
    lines += [f"- {name}: {_in_words(value)}" for name, value in facts.items() if value]
    lines += [f"- {note}" for note in result["notes"]]
    for title, rows in result["tables"].items():
        if rows:
            lines += ["", f"## {title}", "", *_table(rows)]
    return "\n".join(lines) + "\n"


def _table(rows: list[dict[str, typing.Any]]) -> list[str]:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    numeric = {name for name in columns if all(isinstance(row.get(name, 0), int | float) for row in rows)}
    head = [name.replace("_", " ") for name in columns]
    rule = ["---:" if name in numeric else "---" for name in columns]
    body = [[_cell(row.get(name)) for name in columns] for row in rows]
    return [f"| {' | '.join(cells)} |" for cells in (head, rule, *body)]


def _cell(value: typing.Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, float):
        return str(value).replace("|", "/")
    if value == 0:
        return "0"
    return f"{value:.1e}" if abs(value) < 1e-4 else f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def _in_words(value: typing.Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} {_in_words(part)}" for name, part in value.items())
    return " ".join(map(_in_words, value)) if isinstance(value, list) else str(value)


def _rounded(value: typing.Any) -> typing.Any:
    """Round to four significant digits. More would be noise."""
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value
