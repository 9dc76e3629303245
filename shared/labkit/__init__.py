"""labkit: the package that labs import, and the `labs` command."""

__version__ = "0.1.0"
