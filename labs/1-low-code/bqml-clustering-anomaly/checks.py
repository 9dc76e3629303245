"""Checks, hints and wrong answers of bqml-clustering-anomaly."""

import numpy as np
from google.api_core.exceptions import NotFound
from labkit.lesson import Exercise, Incorrect, sql_rows

MEASURES = {"bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"}
SENSORS = {"speed_pct", "pressure_bar", "ambient_c", "power_kw", "flow_m3h", "oil_c", "vibration_mm_s"}


def text_of(answer, name):
    """The statement without a closing semicolon."""
    if not isinstance(answer, str) or not answer.strip():
        raise Incorrect(f'{name} is the SQL text itself, a string in """…""", got {type(answer).__name__}.')
    return answer.strip().rstrip(";").rstrip()


class Segments(Exercise):
    name = "segments"
    hints = [
        "Which of the five columns says nothing about the shape of a bird, and would still be a distance to k-means?",
        "SELECT * EXCEPT (…) leaves a column out. Which option of the colleague's model made the mass decide alone?",
        "CREATE OR REPLACE MODEL name OPTIONS (model_type = …, num_clusters = …) AS SELECT … Leave the standardisation "
        "at its default.",
    ]
    wrong = {
        "the ring number takes part": (
            'segments_sql = """CREATE OR REPLACE MODEL segments OPTIONS (model_type = \'kmeans\', num_clusters = 3)\n'
            'AS SELECT * FROM birds"""'
        ),
        "units as they are": (
            'segments_sql = """CREATE OR REPLACE MODEL segments\n'
            "OPTIONS (model_type = 'kmeans', num_clusters = 3, standardize_features = FALSE)\n"
            'AS SELECT * EXCEPT (bird_id) FROM birds"""'
        ),
        "the default number of clusters": (
            'segments_sql = """CREATE OR REPLACE MODEL segments OPTIONS (model_type = \'kmeans\')\n'
            'AS SELECT * EXCEPT (bird_id) FROM birds"""'
        ),
        "only the mass": (
            'segments_sql = """CREATE OR REPLACE MODEL segments OPTIONS (model_type = \'kmeans\', num_clusters = 3)\n'
            'AS SELECT body_mass_g FROM birds"""'
        ),
        "a label column, as in regression": (
            'segments_sql = """CREATE OR REPLACE MODEL segments\n'
            "OPTIONS (model_type = 'kmeans', num_clusters = 3, input_label_cols = ['bird_id'])\n"
            'AS SELECT * FROM birds"""'
        ),
        "another name": (
            'segments_sql = """CREATE OR REPLACE MODEL my_model OPTIONS (model_type = \'kmeans\', num_clusters = 3)\n'
            'AS SELECT * EXCEPT (bird_id) FROM birds"""'
        ),
        "principal components": (
            'segments_sql = """CREATE OR REPLACE MODEL segments\n'
            "OPTIONS (model_type = 'pca', num_principal_components = 3)\n"
            'AS SELECT * EXCEPT (bird_id) FROM birds"""'
        ),
    }

    def check(self, segments_sql, client, dataset):
        statement = text_of(segments_sql, "segments_sql")
        # A model that an earlier answer left behind must not be judged in the place of this one.
        client.delete_model(f"{dataset}.segments", not_found_ok=True)
        sql_rows(client, statement)
        try:
            model = client.get_model(f"{dataset}.segments")
        except NotFound:
            raise Incorrect("The statement ran, but there is no model `segments` now. Use that name.") from None
        if model.model_type != "KMEANS":
            raise Incorrect(
                f"The model is of type {model.model_type}. Segments without labels are model_type 'kmeans'."
            )
        self.features({column.name for column in model.feature_columns})
        sizes = list(
            sql_rows(client, "SELECT COUNT(DISTINCT centroid_id) AS clusters FROM ML.CENTROIDS(MODEL segments)")
        )
        if sizes[0].clusters != 3:
            raise Incorrect(
                f"The model has {sizes[0].clusters} clusters, not 3. num_clusters has a default: say what you need."
            )
        distances = sql_rows(
            client,
            "SELECT AVG(NEAREST_CENTROIDS_DISTANCE[OFFSET(0)].DISTANCE) AS typical "
            "FROM ML.PREDICT(MODEL segments, TABLE birds)",
        )
        typical = next(iter(distances)).typical
        if typical > 10:
            raise Incorrect(
                f"A bird is {typical:.0f} away from its centroid on average: that is grams. With raw units the mass is "
                "the distance, and bill and flippers have no say. Every measurement should count alike."
            )

    def features(self, found):
        if "bird_id" in found:
            raise Incorrect(
                "bird_id takes part in the distance. Birds with near ring numbers become alike, which only says in "
                "which order they were caught. Leave identifiers out of the SELECT."
            )
        if found != MEASURES:
            raise Incorrect(f"The model sees {', '.join(sorted(found))}; it should see the four measurements.")


class CleanHistory(Exercise):
    name = "clean_history"
    hints = [
        "For one reading and one ticket: which three conditions together cast doubt on the reading?",
        "A reading stays if there is no such ticket: NOT EXISTS, over a subquery of tickets. A JOIN would "
        "drop machines without tickets, or repeat rows.",
        "TIMESTAMP_SUB(…, INTERVAL 12 HOUR) is the time twelve hours before. A ticket speaks of one machine.",
    ]
    wrong = {
        "doubt begins with the ticket": (
            'clean_sql = f"""SELECT reading_id, {COLUMNS} FROM history AS h WHERE NOT EXISTS (\n'
            "  SELECT 1 FROM tickets AS t WHERE t.machine = h.machine\n"
            '  AND h.read_at BETWEEN t.opened_at AND t.closed_at)"""'
        ),
        "all machines while any ticket is open": (
            'clean_sql = f"""SELECT reading_id, {COLUMNS} FROM history AS h WHERE NOT EXISTS (\n'
            "  SELECT 1 FROM tickets AS t\n"
            '  WHERE h.read_at BETWEEN TIMESTAMP_SUB(t.opened_at, INTERVAL 12 HOUR) AND t.closed_at)"""'
        ),
        "machines that never had a ticket": (
            'clean_sql = f"""SELECT reading_id, {COLUMNS} FROM history\n'
            'WHERE machine NOT IN (SELECT machine FROM tickets)"""'
        ),
        "an inner join": (
            'clean_sql = f"""SELECT reading_id, {COLUMNS} FROM history AS h JOIN tickets AS t USING (machine)\n'
            'WHERE h.read_at NOT BETWEEN TIMESTAMP_SUB(t.opened_at, INTERVAL 12 HOUR) AND t.closed_at"""'
        ),
        "everything": 'clean_sql = f"SELECT reading_id, {COLUMNS} FROM history"',
        "by the truth, which nobody has at that time": (
            'clean_sql = f"""SELECT reading_id, {COLUMNS} FROM history JOIN truth USING (reading_id)\n'
            'WHERE fault IS NULL"""'
        ),
        "the wrong sign": (
            'clean_sql = f"""SELECT reading_id, {COLUMNS} FROM history AS h WHERE NOT EXISTS (\n'
            "  SELECT 1 FROM tickets AS t WHERE t.machine = h.machine\n"
            '  AND h.read_at BETWEEN TIMESTAMP_ADD(t.opened_at, INTERVAL 12 HOUR) AND t.closed_at)"""'
        ),
        "every column": (
            'clean_sql = """SELECT * FROM history AS h WHERE NOT EXISTS (\n'
            "  SELECT 1 FROM tickets AS t WHERE t.machine = h.machine\n"
            '  AND h.read_at BETWEEN TIMESTAMP_SUB(t.opened_at, INTERVAL 12 HOUR) AND t.closed_at)"""'
        ),
        "SQL that does not run": 'clean_sql = "SELECT reading_id, FROM history WHERE read_at EXCEPT tickets"',
    }

    def check(self, clean_sql, client):
        query = text_of(clean_sql, "clean_sql")
        if not query.lstrip("( \n").upper().startswith(("SELECT", "WITH")):
            raise Incorrect("clean_sql is a query, starting with SELECT or WITH: the lab makes the table itself.")
        found = {field.name for field in sql_rows(client, f"SELECT * FROM ({query}\n) LIMIT 0").schema}
        wanted = {"reading_id", *SENSORS}
        if found != wanted:
            odd = ", ".join(sorted(found ^ wanted))
            raise Incorrect(
                f"The result should have reading_id and the seven sensors; missing or too much: {odd}. A date or a "
                "machine's name would be one more thing for the models to find usual."
            )
        counts = self.counts(client, query)
        if counts.n > counts.readings:
            raise Incorrect(
                f"{counts.n - counts.readings} rows come more than once: a JOIN repeats a reading for each ticket "
                "of its machine."
            )
        if counts.faulty:
            raise Incorrect(
                f"{counts.faulty} faulty readings are still in it. A fault is older than its ticket: look at the hours "
                "before opened_at."
            )
        if counts.lost > 0.01 * counts.undoubted:
            raise Incorrect(
                f"{counts.lost} of {counts.undoubted} readings are missing although no ticket casts doubt on them. A "
                "ticket speaks of one machine and of some hours; the models would never see how the others work."
            )
        # The hours at both ends of a ticket may fall either way.
        if counts.doubted > 2 * counts.tickets:
            raise Incorrect(
                f"{counts.doubted} readings are in it that lie within 12 hours before or during a ticket of their "
                "machine. That they were healthy is in `truth`, which is not known when a model is trained."
            )

    def counts(self, client, query):
        """One row: rows of the answer, different readings, faulty ones, undoubted ones lost, doubted ones kept."""
        return next(
            iter(
                sql_rows(
                    client,
                    f"""
                    WITH answer AS ({query}
                    ), judged AS (
                      SELECT h.reading_id, t.fault, NOT EXISTS (
                        SELECT 1 FROM tickets AS k WHERE k.machine = h.machine
                          AND h.read_at >= TIMESTAMP_SUB(k.opened_at, INTERVAL 12 HOUR) AND h.read_at <= k.closed_at
                      ) AS undoubted
                      FROM history AS h JOIN truth AS t USING (reading_id)
                    ), kept AS (SELECT DISTINCT reading_id FROM answer)
                    SELECT
                      (SELECT COUNT(*) FROM answer) AS n,
                      (SELECT COUNT(*) FROM tickets) AS tickets,
                      COUNT(k.reading_id) AS readings,
                      COUNTIF(k.reading_id IS NOT NULL AND j.fault IS NOT NULL) AS faulty,
                      COUNTIF(j.undoubted) AS undoubted,
                      COUNTIF(j.undoubted AND k.reading_id IS NULL) AS lost,
                      COUNTIF(NOT j.undoubted AND k.reading_id IS NOT NULL) AS doubted
                    FROM judged AS j LEFT JOIN kept AS k ON k.reading_id = j.reading_id
                    """,
                )
            )
        )


class AlarmBudget(Exercise):
    name = "alarm_budget"
    hints = [
        "The network was trained on clean rows. Which share of healthy readings does contamination c let it flag?",
        "How many healthy readings a day are flagged at contamination c? Set that number to two.",
    ]
    wrong = {
        "the number of alarms": "contamination = 2",
        "in percent": "contamination = 100 * 2 / READINGS_PER_DAY",
        "two of all readings of the fortnight": 'contamination = 2 / len(readings["overhauled"])',
        "the share of faults": 'contamination = readings["fresh"]["fault"].notna().mean()',
        "two a day for each machine": 'contamination = 2 / (READINGS_PER_DAY / fresh["machine"].nunique())',
        "as before": "contamination = CONTAMINATION",
        "none at all": "contamination = 0.0",
    }

    def check(self, contamination, readings_per_day):
        if not np.isscalar(contamination) or isinstance(contamination, str | bool) or not np.isfinite(contamination):
            raise Incorrect(f"contamination is one number, got {contamination!r}.")
        if not 0 <= contamination <= 0.5:
            raise Incorrect(
                f"contamination is a share from 0 to 0.5, got {contamination:g}: not a number of rows, not percent."
            )
        alarms = contamination * readings_per_day
        if contamination == 0:
            raise Incorrect(
                "With 0 only what is further off than every training row is flagged: the one oddest row of history "
                "then decides what is found."
            )
        if not 1.8 <= alarms <= 2.2:
            raise Incorrect(
                f"With contamination {contamination:.4g} about {alarms:.1f} of {readings_per_day} healthy readings are "
                "flagged each day, over all machines. The crew can look at 2."
            )
