"""`kerasft recipes`."""

import json

import click


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def recipes(name, as_json):
    """List the recipes with their measured scores, or print one, to change and pass as --recipe FILE."""
    from kerasft.recipes import recipe_head, recipe_names, recipe_path
    from kerasft.training.settings import read_settings

    if name:
        path = recipe_path(name)
        settings = read_settings(path)  # before anything is printed: it may not be there, or no recipe
        print(json.dumps(settings, ensure_ascii=False) if as_json else path.read_text(encoding="utf-8"), end="")
        if as_json:
            print()
        return
    for known in recipe_names():
        head = recipe_head(known)
        if as_json:
            print(json.dumps({"name": known, "about": head, "settings": read_settings(recipe_path(known))}))
        else:
            print(known, *(f"    {line}" for line in head), sep="\n")
    if not as_json:
        print("\n`kerasft fit --recipe NAME --data FILE` runs one; `kerasft recipes NAME > my.yaml` starts your own.")
