"""Checks, hints and wrong answers of repeatable-hash-split."""

from labkit.lesson import Exercise, Incorrect


class First(Exercise):
    name = "first"
    hints = ["TODO a question that points the way.", "TODO a step closer."]
    wrong = {"TODO what people do": "first = 0", "TODO the wrong type": "first = 'one'"}

    def check(self, first):
        if first != 1:
            raise Incorrect(f"TODO what is wrong with {first!r} and why it matters.")


class Second(Exercise):
    name = "second"
    hints = ["TODO a question that points the way.", "TODO a step closer."]
    wrong = {"TODO what people do": "second = 0", "TODO the wrong type": "second = 'two'"}

    def check(self, second):
        if second != 2:
            raise Incorrect(f"TODO what is wrong with {second!r} and why it matters.")
