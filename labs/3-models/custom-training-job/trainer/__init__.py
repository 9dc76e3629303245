"""The training code as a package: what the notebook imports, the shell runs, and every job gets."""
