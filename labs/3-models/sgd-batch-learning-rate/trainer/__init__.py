"""The training code: what the notebook imports and every job runs."""
