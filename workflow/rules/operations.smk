# What a run tells about itself at its start and its end: its plan, which `mcalc status` reads, and
# the last lines of the logs of jobs that failed.
import json
import os
import platform
from datetime import datetime, timezone
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

PLAN = f"logs/{RUN}/plan.json"
SHOWN_LINES = 10


def try_to(tell, *arguments):
    """Call what only informs: a run of days must not end because of it."""
    try:
        tell(*arguments)
    except Exception as problem:
        logger.warning(
            f"The run goes on, but {tell.__name__} failed: "
            f"{type(problem).__name__}: {problem}"
        )


def write_plan():
    """Write down the jobs of this run, those that need not run, too."""
    order = {item.name: number for number, item in enumerate(workflow.rules)}
    jobs = [_describe_job(job) for job in workflow.dag.jobs if job.output]
    _write_plan(
        {
            "run": RUN,
            "targets": sorted(map(str, workflow.dag_settings.targets)),
            "begun": _now(),
            "ended": None,
            "outcome": None,
            "host": platform.node(),
            "process": os.getpid(),
            "jobs": sorted(jobs, key=lambda job: (order[job["rule"]], job["log"])),
        }
    )


def end_plan(outcome):
    """Note in the plan that the run has ended, as `done` or `failed`."""
    plan = json.loads(Path(PLAN).read_text())
    _write_plan({**plan, "ended": _now(), "outcome": outcome})


def check_nothing_is_left():
    """Call no run done that is not: with groups Snakemake (9.27) has ended so without a word."""
    settings = workflow.dag_settings
    if settings.until or settings.omit_from or workflow.touch:
        return
    left = [
        job
        for job in workflow.dag.needrun_jobs()
        if not all(map(os.path.exists, job.output))
    ]
    if left:
        try_to(end_plan, "failed")
        names = ", ".join(sorted({job.rule.name for job in left}))
        raise WorkflowError(
            f"Snakemake has ended although {len(left)} jobs are not done ({names}); run the same "
            "command again."
        )


def show_failures(snakemake_logs):
    """Say which jobs failed, and what their logs say last."""
    failed = [job for job in _list_failed_jobs() if job.log]
    blocks = [_tell_failure(job) for job in sorted(failed, key=lambda job: job.log[0])]
    if not blocks:
        logs = ", ".join(map(str, snakemake_logs)) or "the lines above"
        blocks = [f"No job's log tells why the run ended; see Snakemake's own: {logs}"]
    blocks.append(
        f"What is done and what is left: mcalc status results/{RUN}\n"
        "After the cause is mended, the same snakemake command goes on from here."
    )
    logger.error("\n" + "\n\n".join(blocks) + "\n")


def _describe_job(job):
    return {
        "rule": job.rule.name,
        "wildcards": {**job.wildcards_dict},
        "log": str(job.log[0]) if job.log else "",
        "benchmark": str(job.benchmark or ""),
        "outputs": [str(path) for path in job.output],
        "needed": workflow.dag.needrun(job),
    }


def _write_plan(plan):
    path = Path(PLAN)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".plan.{os.getpid()}.json")
    temporary.write_text(json.dumps(plan, indent=1) + "\n")
    os.replace(temporary, path)


def _now():
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _list_failed_jobs():
    """The jobs that failed for good; of a group, which is one job of a cluster, those unfinished."""
    failed = []
    for job in getattr(workflow.scheduler, "failed", ()):
        for member in getattr(job, "jobs", [job]):
            if not all(map(os.path.exists, member.output)):
                failed.append(member)
    return failed


def _tell_failure(job):
    """A job's name, its log's path, and the last lines below the head that mcalc writes there."""
    log = str(job.log[0])
    places = {key: value for key, value in job.wildcards_dict.items() if key != "run"}
    places = ", ".join(f"{key}={value}" for key, value in places.items())
    title = f"{job.rule.name} ({places})" if places else job.rule.name
    lines = _read_below_head(log)[-SHOWN_LINES:]
    if not lines:
        lines = ["(nothing: it did not begin, or was killed before it said anything)"]
    return "\n".join(
        [f"{title} failed. {log} ends with:", *(f"    {line}" for line in lines)]
    )


def _read_below_head(log):
    """The lines of a log, less the command and its comments (mcalc/log_head.py)."""
    if not os.path.exists(log):
        return []
    lines = Path(log).read_text(errors="replace").splitlines()
    if lines and lines[0].startswith("mcalc "):
        del lines[0]
        while lines and lines[0].startswith("# "):
            del lines[0]
    return [line for line in lines if line.strip()]
