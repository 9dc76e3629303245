"""The collection as data: cards, blueprint, data sets, and the structure that every lab keeps."""

from labkit.catalog.problems import LabError as LabError
