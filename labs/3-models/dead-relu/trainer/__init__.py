"""The training code as a package: what the notebook imports and the job runs."""
