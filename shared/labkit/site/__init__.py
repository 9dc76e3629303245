"""The site: Sphinx sources written from cards, notebooks and the blueprint. Sphinx has an environment of its own."""
