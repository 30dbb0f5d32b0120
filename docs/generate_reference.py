"""Write the pages of the reference that follow from the code: settings, and the command line.

    python docs/generate_reference.py

`tests/project/test_reference.py` fails where a page is not what this makes of the code.
"""

import argparse
from pathlib import Path

from contrastive.cli.main import build_parser
from contrastive.cli.options import _Once as SettingAction
from contrastive.config import RECIPES, SETTINGS, Setting, choices, shown
from contrastive.config.recipes import IMAGES_ON_LOG_Q, IMAGES_PLAIN

REFERENCE = Path(__file__).parent / "reference"

_SETTINGS = """# Settings

For whoever sets up a fit: every setting, by its path in the sections. `python docs/generate_reference.py` writes this
page from the code. The same path serves at every door:

| door | how |
|---|---|
| command line | `--game.noise.freeze-after 0.3` |
| config file | `game: {noise: {freeze_after: 0.3}}` |
| Python | `fit(x, game={"noise": {"freeze_after": 0.3}})` |

Everyday settings have a short name as well: `--steps`, `fit(x, steps=...)`. Options of the noise, the energy and the
objective go into their sections, `--noise.width 64`; see [noises](noises.md), [energies](energies.md) and
[objectives](objectives.md). A default in brackets depends on the data, the models or the recipe.
`contrastive init-config` prints a file with every setting; a misspelt name is refused with the nearest one.
"""

_TITLES = {
    "data": "what is fitted, and what is held out",
    "labels": "classes for some of the rows",
    "noise": "the density that the energy is discriminated from",
    "energy": "the unnormalised log-density",
    "objective": "the loss",
    "likelihood": "maximum likelihood of the noise, before the contrast",
    "game": "the contrast: updates of the energy, and in FCE of the noise",
    "run": "machine, evaluation, output",
}

_COMMANDS = """# Command line

For users of the shell: every command with its options. `python docs/generate_reference.py` writes this page from the
parser. `contrastive COMMAND --help` prints the same, with the [settings](settings.md) of a fit. `RUN` is a
[run directory](run-directory.md). Exit codes: 0; 1 where a check failed; 2 for what the user can mend, in one line; 130
for Ctrl-C.
"""


def settings_page() -> str:
    """The tables of the settings, and what each recipe fills in."""
    parts = [_SETTINGS]
    for root, title in _TITLES.items():
        rows = [_setting(found) for path, found in SETTINGS.items() if path.partition(".")[0] == root]
        parts.append(f"## `{root}`: {title}\n\n| setting | short | default | meaning |\n|---|---|---|---|\n")
        parts[-1] += "".join(rows)
    paths = [path for path in SETTINGS if any(path in recipe for recipe in RECIPES.values())]
    parts.append(
        "## What a recipe fills in\n\nOnly what is not set. Why these values: [vectors](../explanation/recipes.md), "
        "[images](../explanation/fce-on-images.md).\n\n"
        f"| setting | {' | '.join(f'`{recipe}`' for recipe in RECIPES)} |\n|---|{'---|' * len(RECIPES)}\n"
        + "".join(f"| `{path}` | {' | '.join(_filled(path, recipe) for recipe in RECIPES)} |\n" for path in paths)
    )
    return "\n".join(parts)


def _setting(found: Setting) -> str:
    allowed = choices(found.kind)
    name = shown(found.path)
    short = f"`{name}`" if name != found.path else ""
    default = "" if found.default in (None, "") else f"`{found.default}`"
    meaning = found.help.replace("|", "\\|")
    values = f" (`{'`, `'.join(allowed)}`)" if allowed else ""
    return f"| `{found.path}` | {short} | {default} | {meaning}{values} |\n"


def _filled(path: str, recipe: str) -> str:
    if path not in RECIPES[recipe]:
        return f"{IMAGES_ON_LOG_Q[path]:g} with `tilted`, else {IMAGES_PLAIN[path]:g}"
    value = RECIPES[recipe][path]
    return f"{value:g}" if isinstance(value, float) else str(value)


def command_line_page() -> str:
    """Each command of the parser: what it does, its options, its examples."""
    parts = [_COMMANDS]
    for name, parser in _commands(build_parser()).items():
        rows = [row for action in parser._actions if (row := _option(action))]
        table = "| option | meaning |\n|---|---|\n" + "".join(rows)
        parts.append(f"## `contrastive {name}`\n\n{parser.description}\n\n{table}\n```text\n{parser.epilog}\n```\n")
    return "\n".join(parts)


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return dict(commands.choices)


def _option(action: argparse.Action) -> str:
    """A row of the table; nothing for `--help` and for settings, which have a page of their own."""
    if action.dest == "help" or isinstance(action, SettingAction):
        return ""
    word = ", ".join(action.option_strings)
    value = "\\|".join(map(str, action.choices)) if action.choices else str(action.metavar or action.dest.upper())
    takes_value = action.nargs != 0
    text = f"{word} {value}" if word and takes_value else word or value
    return f"| `{text}` | {action.help or ''} |\n"


PAGES = {"settings.md": settings_page, "command-line.md": command_line_page}

if __name__ == "__main__":
    for page, make in PAGES.items():
        (REFERENCE / page).write_text(make(), encoding="utf-8")
