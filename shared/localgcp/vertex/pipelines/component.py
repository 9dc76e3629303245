"""Runs a Python component as kfp's own entry point does, with Cloud Storage where it lies on this machine.

Stands in for `python3 -m kfp.dsl.executor_main` in a task's command. An artifact's `uri` stays gs://…; its `path` is
below the buckets' folder, where the service has a mount at /gcs/.
"""

from __future__ import annotations

import os

from kfp.dsl import executor_main
from kfp.dsl.types import artifact_types

if __name__ == "__main__":
    artifact_types._GCS_LOCAL_MOUNT_PREFIX = os.environ["LOCALGCP_BUCKETS"] + "/"
    executor_main.executor_main()
