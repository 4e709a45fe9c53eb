"""What every study needs, loaded: imported once, by the process that workers are forked from.

Enters, leaves: nothing. Refuses: to be imported by anything but the fork server (`curation.executor`). A worker that
takes the place of a dead one then starts in a tenth of a second, and the memory of what is loaded here is shared.
"""

from importlib import import_module

import numpy as np

for _name in (
    "curation.align.face", "curation.align.locate", "curation.align.pointers", "curation.study", "pandas",
    "reports.deidentify", "scipy.ndimage", "volumes.convert", "volumes.decode", "volumes.index", "volumes.media",
    "volumes.missing_uids", "volumes.nifti", "volumes.resample", "volumes.select", "volumes.siblings", "volumes.stacks",
):  # fmt: skip
    import_module(_name)
import_module("reports.parse").parse_report("FINDINGS: The liver is normal.")  # loads the rules
import_module("reports.deidentify").Deidentifier([], shift_days=0, seed=bytes(32)).apply("Seen on 3 May.")
import_module("volumes.kernels").count_codes(np.zeros(1, np.uint16), np.zeros(65536, np.int64))  # loads the compiler
