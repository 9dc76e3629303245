"""Makes the source distribution that the package job runs: python setup.py sdist."""

from setuptools import find_packages, setup

setup(
    name="trainer",
    version="1.0",
    packages=find_packages(include=["trainer", "trainer.*"]),
    install_requires=["google-cloud-storage", "joblib", "numpy", "pandas", "scikit-learn"],
)
