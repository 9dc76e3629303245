"""Predicts with an exported tree model on this machine.

Unpack predictor.py from xgboost_predictor-0.1.tar.gz beside this file, then run
    python main.py < instances.jsonl
with one JSON object of feature names and values in each line. The predictions are JSON, one in each line.
"""

import json
import os
import sys

from predictor import Predictor

if __name__ == "__main__":
    instances = [json.loads(line) for line in sys.stdin if line.strip()]
    for prediction in Predictor(os.path.dirname(os.path.abspath(__file__))).predict(instances):
        print(json.dumps(prediction))
