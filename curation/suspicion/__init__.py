"""How likely it is that a pair is wrong, and why: rules over a pair, over the data set, over the order of the reports.

Enters: the rows that the studies gave, what the reports' own text says about its patient and day. Leaves: rows of
``suspicions.parquet`` and the flags and suspicion of each pair. Refuses: to drop anything; it only orders the audit.
"""

from curation.suspicion.judge import judge_dataset, judge_pair
from curation.suspicion.rules import RULES, WEIGHTS, Severity, severity_of

__all__ = ["RULES", "WEIGHTS", "Severity", "judge_dataset", "judge_pair", "severity_of"]
