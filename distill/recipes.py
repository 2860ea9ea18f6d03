"""Recipes by name; what each of them does is in `distill/papers`."""

from __future__ import annotations

from distill.papers.asking import ASKING
from distill.papers.credit import CREDIT
from distill.papers.imitation import IMITATION
from distill.papers.repairing import REPAIRING
from distill.types import Recipe
from memory.errors import DistillError

RECIPES: tuple[Recipe, ...] = (*IMITATION, *REPAIRING, *CREDIT, *ASKING)


def recipe_named(name: str) -> Recipe:
    """The recipe of a name. Raises DistillError for one that does not exist."""
    for recipe in RECIPES:
        if recipe.name == name:
            return recipe
    raise DistillError(f"no recipe is called {name!r}; there are {', '.join(r.name for r in RECIPES)}")


def stages(recipe: Recipe) -> tuple[Recipe, ...]:
    """What is trained one after another: the recipes it goes on from, then itself. Raises DistillError."""
    chain = [recipe]
    while chain[0].after is not None:
        before = recipe_named(chain[0].after)
        if before in chain:
            raise DistillError(f"recipe {recipe.name!r} goes on from itself")
        chain.insert(0, before)
    return tuple(chain)


def check(recipe: Recipe) -> None:
    """Refuse what cannot be built. Raises DistillError."""
    if not 0 <= sum(stream.share for stream in recipe.mixture) < 1:
        raise DistillError(f"the shares of recipe {recipe.name!r} leave nothing for its main rows")
