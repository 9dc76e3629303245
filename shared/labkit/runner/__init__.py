"""Builds, runs and checks labs."""
