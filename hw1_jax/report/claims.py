"""The claims of a page: the table of all, and the paragraph that opens the page."""

import collections
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from hw1_jax import summary as summaries
from hw1_jax.report.assignment import expected
from hw1_jax.report.judged import Judged, Picture, picture
from hw1_jax.report.reading import Section

SAME = "same settings"  # in place of a verdict: the other profile has no settings of its own
COLUMNS = {"report": "As printed", "notebook": "As run by its author"}  # by a profile's last word


class Row(NamedTuple):
  """A row of the table of all claims."""

  number: str  # of the section
  anchor: tuple[str, int]  # the run's folder and the claim's place in it; 0: not in this profile
  claim: Judged
  verdicts: tuple[str | None, ...]  # one a column: a verdict, SAME, or None: not run
  picture: Picture | None


def columns(profile: str) -> tuple[str, ...]:
  """Returns the headings of the verdicts' columns: this profile's and its counterpart's."""
  if counterpart(profile) is None:
    return ("Verdict",)
  return tuple(COLUMNS.values())


def counterpart(profile: str) -> str | None:
  """Returns the profile with the author's own settings for a report's, and the other way round."""
  stem, _, last = profile.rpartition("_")
  other = {"report": "notebook", "notebook": "report"}.get(last)
  return f"{stem}_{other}" if stem and other else None


def rows(
  sections: Sequence[Section], others: Sequence[Section], profile: str
) -> tuple[list[Row], tuple[str, ...]]:
  """Returns the table of all claims and the headings of its verdicts' columns.

  `others` are the counterpart's sections; without any there is one column. A section that only the
  counterpart has run has its claims, without a verdict in this profile's column.
  """
  elsewhere = {section.topic.experiment: section.runs[0].claims for section in others}
  heads = columns(profile) if any(elsewhere.values()) else ("Verdict",)
  other_profile, found = counterpart(profile) or profile, []

  def add(section: Section, anchor: tuple[str, int], claim: Judged, *both: str | None) -> None:
    verdicts = both[::-1] if profile.endswith("notebook") else both
    kept = verdicts if len(heads) == 2 else both[:1]
    found.append(Row(section.topic.number, anchor, claim, kept, picture(claim)))

  for section in sections:
    theirs = {claim.id: claim for claim in elsewhere.get(section.topic.experiment, ())}
    for run in section.runs:
      for place, claim in enumerate(run.claims, 1):
        other = theirs[claim.id].verdict if claim.id in theirs else None
        if other is None and not expected(section.topic, other_profile):
          other = SAME
        add(section, (run.folder, place), claim, claim.verdict, other)
    if not any(run.claims for run in section.runs):
      for claim in theirs.values():
        add(section, (section.topic.experiment, 0), claim, None, claim.verdict)
  return found, heads


def lede(sections: Sequence[Section]) -> list[str]:
  """Returns the sentences that open the page: how many claims hold, and on what."""
  counts = collections.Counter(claim.verdict for _, claim in _every(sections))
  total = sum(counts.values())
  if not total:
    return ["None of the claims has been judged: no run has finished."]
  said = {
    summaries.HOLDS: "{} hold{s}",
    summaries.FAILS: "{} do{es} not hold",
    summaries.NO_DIFFERENCE: "{} show{s} no difference worth speaking of",
    summaries.UNDECIDED: "{} stay{s} undecided",
  }
  parts = [
    said[verdict].format(count, s="s" * (count == 1), es="es" * (count == 1))
    for verdict in summaries.VERDICTS
    if (count := counts[verdict])
  ]
  told = [f"Of {total} claims judged, {_listed(parts)}."]
  by_section: dict[str, set[str]] = {}
  for topic, claim in _every(sections):
    by_section.setdefault(topic.short, set()).add(claim.verdict)
  groups: dict[str, list[str]] = {}
  for name, verdicts in by_section.items():
    groups.setdefault(_outcome(verdicts), []).append(name)
  told += [f"{said} {_listed(groups[said])}." for said in OUTCOMES if said in groups]
  return told


OUTCOMES = (
  "Every claim holds on",
  "Part of it holds, the rest does not or stays open, on",
  "None of it holds on",
  "Our runs find no difference on",
  "These runs are too few or too unlike to decide anything on",
)


def _outcome(verdicts: set[str]) -> str:
  """Returns which of OUTCOMES the verdicts of one section amount to."""
  if verdicts == {summaries.HOLDS}:
    return OUTCOMES[0]
  if summaries.HOLDS in verdicts:
    return OUTCOMES[1]
  if summaries.FAILS in verdicts:
    return OUTCOMES[2]
  return OUTCOMES[3] if summaries.NO_DIFFERENCE in verdicts else OUTCOMES[4]


def _every(sections: Sequence[Section]) -> Iterator[tuple[Any, Judged]]:
  for section in sections:
    for run in section.runs:
      for claim in run.claims:
        yield section.topic, claim


def _listed(parts: Sequence[str]) -> str:
  return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
