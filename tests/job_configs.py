"""The options of a job as a type, for tests that read command lines without running them."""

from reference_pages import ROOT, config_type


def config_type_of(name):
    """The dataclass of options that jobs/NAME.py hands to `run_job`."""
    return config_type(ROOT / "jobs" / f"{name}.py")
