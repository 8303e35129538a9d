"""The folder beside a job's output in which a run keeps what `--resume` goes on from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from yt8m_spark.artifacts import check_output_free, load_json, make_folder_of, save_json
from yt8m_spark.errors import InputError
from yt8m_spark.events import note
from yt8m_spark.file_locks import try_lock
from yt8m_spark.job import user_error
from yt8m_spark.leftovers import finish_removals, remove
from yt8m_spark.plan import is_dry_run

__all__ = ["work_folder"]

_SETTINGS = "settings.json"
_KEPT = (
    "blocks/*.parquet",
    "progress/*.npz",
    "checkpoints/*/state.json",
    "rows/*.json",
    "parts/*/*.tfrecord",
    "parts/*/blocks/*.parquet",
    "parts/*/progress/*.npz",
    "models/*/model.json",
    "target/target.json",
    "videos/*/_SUCCESS",
    "features/*/*/_SUCCESS",
    "whitening/*/whitening.json",
)


@contextmanager
def work_folder(
    output: str, settings: Mapping[str, str], *, resume: bool, overwrite: bool
) -> Iterator[str]:
    """Work folder of a run to ``output``; removed at the end, kept if it fails midway.

    Parameters
    ----------
    output : str
    settings : mapping
        All that decides about the result, by name; another one cannot be resumed.
    resume : bool
        Go on from what is there.
    overwrite : bool
        Throw away what is there.

    Raises
    ------
    InputError
        If the output exists and is not to be replaced, a stopped run is there and neither is
        set, it had other settings, or another run to the same output is at work.
    """
    check_output_free(output, overwrite=overwrite)
    target = Path(output).resolve()
    work = target.parent / f".{target.name}.work"
    if is_dry_run():
        _check(work, settings, resume=resume, overwrite=overwrite)
        yield str(work)
        return
    make_folder_of(output)
    with _alone(target.parent / f".{target.name}.lock", output):
        finish_removals(work)
        _open(work, settings, resume=resume, overwrite=overwrite)
        try:
            yield str(work)
        except BaseException as error:
            if has_progress(work):
                note(f"what is done is kept in {work}: go on with --resume")
            elif user_error(error):
                remove(work)
            raise
        remove(work)


def has_progress(work: Path) -> bool:
    """Whether there is something to go on from."""
    kept = (path for pattern in _KEPT for path in work.glob(pattern))
    return any(path.name == "_SUCCESS" or path.stat().st_size for path in kept)


@contextmanager
def _alone(lock: Path, output: str) -> Iterator[None]:
    """Keep a second run to the same output out: the two would share their blocks."""
    with lock.open("w") as file:
        if not try_lock(file):
            raise InputError("another run to this output is at work", where=output)
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def _open(work: Path, settings: Mapping[str, str], *, resume: bool, overwrite: bool) -> None:
    """Make the folder empty, or check that it is of the same run."""
    _check(work, settings, resume=resume, overwrite=overwrite)
    if not (resume and (work / _SETTINGS).exists()):
        remove(work)
    save_json(work / _SETTINGS, dict(settings))


def _check(work: Path, settings: Mapping[str, str], *, resume: bool, overwrite: bool) -> None:
    """Refuse a stopped run that is in the way, or is of another kind."""
    if not resume:
        if has_progress(work) and not overwrite:
            expected = "--resume to go on, or --overwrite to start anew"
            raise InputError("a stopped run is there", where=str(work), expected=expected)
    elif not (work / _SETTINGS).exists():
        if has_progress(work) and not overwrite:
            what, expected = "cannot resume: settings are missing", "--overwrite to start anew"
            raise InputError(what, where=str(work), expected=expected)
    else:
        before = load_json(work / _SETTINGS)
        changed = [name for name in settings if before.get(name) != settings[name]]
        if changed:
            raise InputError(
                f"cannot resume: {changed[0]} has changed",
                expected=before.get(changed[0]),
                found=settings[changed[0]],
            )
