"""MLflow runs of a process that was killed: it could not end them itself."""

from __future__ import annotations

from mlflow import MlflowClient

from yt8m_spark.tracking_start import PARENT_RUN

__all__ = ["end_killed"]


def end_killed(client: MlflowClient, run_id: str) -> None:
    """Mark run ``run_id``, and the runs nested in it, as KILLED where they still say RUNNING.

    Raises
    ------
    MlflowException
        If the store does not know the run, or does not answer.
    """
    run = client.get_run(run_id)
    for nested in client.search_runs(
        [run.info.experiment_id],
        f"tags.`{PARENT_RUN}` = '{run_id}' and attributes.status = 'RUNNING'",
    ):
        client.set_terminated(nested.info.run_id, "KILLED")
    if run.info.status == "RUNNING":
        client.set_terminated(run_id, "KILLED")
