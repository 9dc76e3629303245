"""What a notebook talks to: `lab = lesson.open("slug", target=TARGET, seed=SEED)`."""

from labkit.lesson.exercise import Exercise as Exercise
from labkit.lesson.exercise import Incorrect as Incorrect
from labkit.lesson.lab import Lab as Lab
from labkit.lesson.lab import open_lab
from labkit.lesson.sql import sql_rows as sql_rows

open = open_lab
