"""Counts the readings that are out of their limits: python -m trainer.task."""

from trainer.features import limits


def main():
    readings = {"pressure_bar": 9.4, "oil_c": 55.0, "vibration_mm_s": 2.1}
    print("out of limits:", limits.out_of(readings) or "none", flush=True)


if __name__ == "__main__":
    main()
