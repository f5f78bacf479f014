"""What made a run and a page, and how a run ended."""

import datetime
import re
from collections.abc import Sequence
from typing import Any

from hw1_jax.report.numbers import is_number, show_seconds, show_value
from hw1_jax.report.reading import Run


def facts(provenance: dict[str, Any]) -> dict[str, str]:
  """Returns what made a run, label -> text, of whatever provenance.json holds."""
  device, data = provenance.get("device"), provenance.get("dataset")
  if isinstance(device, dict):
    count, kind, backend = (show_value(device.get(key)) for key in ("count", "kind", "backend"))
    device = f"{count} × {kind} ({backend} backend)"
  if isinstance(data, dict):
    sha256 = data.get("sha256")
    data = (
      f"{show_value(data.get('name'))}, {show_value(data.get('train_examples'))} training and"
      f" {show_value(data.get('test_examples'))} test examples"
      + (f", SHA-256 {sha256[:12]}…" if isinstance(sha256, str) else "")
    )
  started, seconds = _time(provenance.get("started")), provenance.get("seconds")
  found = {
    "Command": provenance.get("command"),
    "Started": f"{started:%Y-%m-%d %H:%M} UTC" if started else provenance.get("started"),
    "Duration": show_seconds(seconds) if is_number(seconds) else seconds,
    "Data set": data,
    "Platform": provenance.get("platform"),
    "Processor": provenance.get("processor"),
    "Device": device,
    "Threads": provenance.get("threads"),
    "Python": provenance.get("python"),
    "Versions": provenance.get("versions"),
    "Git commit": provenance.get("git_commit"),
    "Figures and verdicts by": provenance.get("presented_by"),
    "Checksums": provenance.get("checksums"),
  }
  return {label: show_value(value) for label, value in found.items() if value not in (None, "", {})}


def _time(text: Any) -> datetime.datetime | None:
  try:
    time = datetime.datetime.fromisoformat(text)
    return time.replace(tzinfo=time.tzinfo or datetime.UTC).astimezone(datetime.UTC)
  except (TypeError, ValueError, OverflowError):
    return None


def page_facts(runs: Sequence[Run]) -> list[tuple[str, list[str]]]:
  """Returns what made the page: label and the different texts that the runs give for it."""
  every = [facts(run.provenance) for run in runs]
  found = []
  for label in ("Data set", "Platform", "Processor", "Device", "Threads", "Python", "Git commit",
                "Versions"):  # fmt: skip
    texts = list(dict.fromkeys(run[label] for run in every if label in run))
    if label == "Git commit":
      texts = [_short(text) for text in texts]
    found.append((label, texts or ["not recorded"]))
  times = [time for run in runs if (time := _time(run.provenance.get("started")))]
  dates = sorted({f"{time:%Y-%m-%d}" for time in times})
  date = " to ".join(dict.fromkeys([dates[0], dates[-1]])) if dates else "not recorded"
  total = sum(s for run in runs if is_number(s := run.provenance.get("seconds")))
  return [("Date", [date]), ("Computing time", [show_seconds(total)]), *found]


def commits(runs: Sequence[Run]) -> str:
  """Returns the sentence that says which commits computed the runs that left a record."""
  found: dict[str, list[str]] = {}
  for run in runs:
    if run.provenance:
      commit = run.provenance.get("git_commit")
      found.setdefault(commit if isinstance(commit, str) else "", []).append(run.folder)
  if not found:
    return ""
  if list(found) == [""]:
    return "No run says which commit computed it."
  told = [f"{_short(commit)} ({', '.join(folders)})" for commit, folders in found.items()]
  dirty = any(commit.endswith("-dirty") for commit in found)
  more = " “-dirty” means: with changes that are not in the commit." if dirty else ""
  if len(found) > 1:
    return f"The runs are of {len(found)} different commits: {'; '.join(told)}.{more}"
  return f"All runs were computed by commit {_short(next(iter(found)))}.{more}"


def _short(commit: str) -> str:
  """Returns 12 of a commit's 40 digits, and "-dirty" where it stands."""
  return re.sub("^([0-9a-f]{12})[0-9a-f]*", r"\1", commit) or "none recorded"


def notice(run: Run) -> str:
  """Returns the sentence that says why results are absent or partial, '' if they are not."""
  message = run.provenance.get("message")
  reason = f": {str(message)[:500]}" if message else "; no reason was recorded."
  return {
    "missing": f"This experiment has not been run: there is no folder “{run.folder}”.",
    "running": "This run had not finished when the page was made; what it had recorded is shown.",
    "interrupted": "This run was interrupted; what it had recorded is shown.",
    "failed": f"This run failed{reason}",
    "unknown": "Nothing says whether this run finished; what can be read of it is shown.",
    "finished": "",
  }[run.status]
