"""Warm kernels: a fork server per environment has imported what is heavy, and each kernel is forked from it."""
