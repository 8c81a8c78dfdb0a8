"""`python -m moe.encoders`: makes the encoder that a language asks for, and says what became of it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .making import choose, find_chosen, name_choice, provide
from .recipes import DEFAULT, LANGUAGES, Recipe
from .workshop import EncoderError


def run(recipes: Sequence[Recipe], home: Path) -> int:
    """Make all of `recipes` and choose what they are together; gives the exit code.

    Where one cannot be made, what was chosen before stays, else the other part serves alone, else the default does.
    """
    print(f"The router's encoder: {' and '.join(recipe.name for recipe in recipes)}", flush=True)
    made = [recipe for recipe in recipes if _is_provided(recipe, home)]
    if len(made) == len(recipes):
        choose(made, home)
    elif kept := find_chosen(home):
        print(f"Nothing was changed: the router keeps {kept}.")
    elif made:
        choose(made, home)
        print(f"The router uses {name_choice(made)} alone. For both, ask again when there is a network:")
        print("  ./setup.sh --language " + next(word for word, asked in LANGUAGES.items() if asked == recipes))
    elif recipes != LANGUAGES[DEFAULT]:
        print(f"Making {name_choice(LANGUAGES[DEFAULT])} in its place; ask again when there is a network.")
        return run(LANGUAGES[DEFAULT], home)
    else:
        print("There is no encoder: the router decides by keywords. Try again with a network: ./setup.sh")
        return 1
    return 0


def _is_provided(recipe: Recipe, home: Path) -> bool:
    try:
        print(provide(recipe, home), flush=True)
    except EncoderError as error:
        print(error, flush=True)
        return False
    return True


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m moe.encoders", description="Make the router's encoder.")
    names = ", ".join(f"{word}: {name_choice(recipes)}" for word, recipes in LANGUAGES.items())
    parser.add_argument("--language", choices=LANGUAGES, default=DEFAULT, help=names)
    parser.add_argument("--models", type=Path, default=Path("models"), help="the folder for encoder/ (models)")
    options = parser.parse_args(arguments)
    return run(LANGUAGES[options.language], options.models / "encoder")


if __name__ == "__main__":
    sys.exit(main())
