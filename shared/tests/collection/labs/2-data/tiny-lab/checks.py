"""Checks of the tiny lab."""

from labkit.lesson import Exercise, Incorrect


class Mean(Exercise):
    name = "mean"
    hints = ["What is a mean?", "Sum, then divide."]
    wrong = {"sum": "mean = data.y.sum()", "of x, which it spoils": "data['y'] = 0.5\nmean = data.y.mean()"}

    def check(self, mean, data):
        if not isinstance(mean, float):
            raise TypeError("not a number")
        if abs(mean - data.y.mean()) > 1e-9 or mean == 0.5:
            raise Incorrect(f"The mean is not {mean:.3f}: that would move every later number.")


class Double(Exercise):
    name = "double"
    hints = ["What is two times three?", "Multiply."]
    wrong = {
        "square": "def double(x):\n    return x**2\nfour = 4",
        "wrong number": "def double(x):\n    return 2 * x\nfour = 5",
    }

    def check(self, double, four):
        if double(3) != 6:
            raise Incorrect(f"double(3) is {double(3)}, not 6.")
        if four != 4:
            raise Incorrect(f"four is {four}.")
