"""The training engine: a recipe, its phases, and the run they leave."""
