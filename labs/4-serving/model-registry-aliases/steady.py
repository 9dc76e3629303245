"""A steady load on an endpoint: so many requests a second, whatever comes back, and a record of each of them."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
from google.api_core import exceptions


class SteadyLoad:
    """Asks `endpoint` for the rows in turn, `rate` times a second, for as long as the `with` lasts.

    Nothing is tried again: a request that is refused is lost, as it is for the app. Afterwards `requests` has a row for
    each: `at` (when it was sent, s since the start), `version` (None: lost), `minutes` (predicted), `error`.
    """

    def __init__(self, endpoint, rows, rate):
        self.endpoint, self.rows, self.rate = endpoint, rows, rate
        self.started, self.marks = 0.0, {}

    def __enter__(self):
        self._senders, self._records, self._stopping = ThreadPoolExecutor(8), [], threading.Event()
        self.started = time.perf_counter()
        self._clock = threading.Thread(target=self._tick)
        self._clock.start()
        return self

    def __exit__(self, *_):
        self._stopping.set()
        self._clock.join()
        self._senders.shutdown(wait=True)
        self.requests = pd.DataFrame([record.result() for record in self._records])

    def mark(self, name):
        """Remembers when something happened, in s since the start."""
        self.marks[name] = time.perf_counter() - self.started

    def _tick(self):
        """Hands out by the clock and not when the last answer has come: a slow endpoint gets no rest."""
        number = 0
        while not self._stopping.wait(max(0, self.started + number / self.rate - time.perf_counter())):
            row = self.rows[number % len(self.rows)]
            self._records.append(self._senders.submit(self._ask, row))
            number += 1

    def _ask(self, row):
        at = time.perf_counter() - self.started
        try:
            answer = self.endpoint.predict(instances=[row])
        except exceptions.GoogleAPICallError as error:
            return {"at": at, "version": None, "minutes": None, "error": type(error).__name__}
        return {"at": at, "version": answer.model_version_id, "minutes": answer.predictions[0], "error": ""}
