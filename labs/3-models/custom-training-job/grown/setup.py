"""How the grown trainer is packed: as it has always been."""

from setuptools import setup

setup(name="trainer", version="2.0", packages=["trainer"], install_requires=["numpy"])
