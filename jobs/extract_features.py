"""Features of the frames of videos: decode, an image network, PCA, a byte a number (paper §3.3).

reads    --input     folder or pattern of videos, or a table of video_id, path, labels
         --network   ONNX file or TorchScript archive; --layer names the tensor to take
         --pca       frame PCA; without one the output is a table of raw frames
writes   --output    shards features-00000-of-00016.tfrecord, or a frames table; _skipped.csv
logs     n_videos, n_frames, n_skipped, n_damaged; task_seconds, share_decoding, share_network,
         share_ours

    spark-submit jobs/extract_features.py --input 'videos/*.mp4' --network inception.onnx \
        --layer pool3 --pca yt8m_pca --output features
"""

from __future__ import annotations

from yt8m_spark.events import note
from yt8m_spark.extraction_config import ExtractionConfig, check_installed, extraction_settings
from yt8m_spark.job import JobResult, run_job
from yt8m_spark.progress import step, watch
from yt8m_spark.run import open_run
from yt8m_spark.work_folder import work_folder


def main(config: ExtractionConfig) -> JobResult:
    """List, extract, gather; what a stopped extraction leaves is kept for --resume."""
    check_installed()
    from yt8m_spark.extraction import lay_out
    from yt8m_spark.extraction_output import check_skipped, figures, shares, write_output
    from yt8m_spark.spark.extraction import extract_shards
    from yt8m_spark.video.plan import load_tools

    inputs = [config.input, config.network, config.labels, config.pca]
    with (
        work_folder(
            config.output,
            extraction_settings(config),
            resume=config.resume,
            overwrite=config.overwrite,
        ) as work,
        open_run("extract_features", config, inputs) as run,
    ):
        plan, n_videos = lay_out(run.spark, config, work)
        n_bytes = load_tools(plan).n_bytes
        with watch(run.heartbeats, n_videos, "extract features") as heartbeats:
            reports = extract_shards(run.spark, work, plan.n_shards, heartbeats=heartbeats)
        check_skipped(reports, config.max_skipped, work)
        with step("gather"):
            write_output(
                run.spark, work, run.folder, plan, n_bytes=n_bytes, as_table=config.as_table
            )
        totals = figures(reports)
        if totals["n_skipped"]:
            told = f"{totals['n_skipped']:.0f} of {n_videos} videos were skipped"
            note(f"{told}: {config.output}/_skipped.csv says why")
        note(f"time of tasks: {shares(totals)}")
        run.log_metrics(totals)
    return run.result({"features": config.output})


if __name__ == "__main__":
    run_job("extract_features", ExtractionConfig, main)
