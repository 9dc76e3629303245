"""The trainer, a year later: it has got a package for its features, with a table of limits."""
