"""What an exported network says of itself, in ``network.yaml`` beside its weights."""

from pathlib import Path

import yaml
from pydantic import TypeAdapter

from solos.config.recipes import AnyRecipe, Recipe
from solos.errors import UserError

DESCRIPTION = "network.yaml"


def read_description(folder: Path) -> tuple[dict, Recipe]:
    """What ``solos.models.weights.save_network`` noted of an exported network, and its recipe.

    Raises:
        UserError: ``folder`` holds no exported network.
    """
    path = folder / DESCRIPTION
    try:
        description = yaml.safe_load(path.read_text(encoding="utf-8"))
        recipe = TypeAdapter(AnyRecipe).validate_python(description["recipe"])
        return description, recipe
    except FileNotFoundError:
        raise UserError(f"{path} is missing: no network was trained here") from None
    except (yaml.YAMLError, ValueError, TypeError, KeyError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path} describes no network of this version: {reason}") from None
