"""What every study needs, loaded: imported once, by the process that workers are forked from.

Enters, leaves: nothing. Refuses: to be imported by anything but the fork server (`curation.executor`). A worker that
takes the place of a dead one then starts in a tenth of a second, and the memory of what is loaded here is shared.
"""

import gc
from importlib import import_module

for _name in (
    "curation.align.face", "curation.align.locate", "curation.align.pointers", "curation.study",
    "curation.suspicion.sides", "pandas", "reports.deidentify", "scipy.ndimage", "volumes.decode",
    "volumes.jpegls_kernels", "volumes.media", "volumes.missing_uids", "volumes.select", "volumes.siblings",
    "volumes.stacks", "volumes.worker",  # loads the compiled loops
):  # fmt: skip
    import_module(_name)
import_module("reports.parse").parse_report("FINDINGS: The liver is normal.")  # loads the rules
import_module("reports.deidentify").Deidentifier([], shift_days=0, seed=bytes(32)).apply("Seen on 3 May.")
gc.collect()
gc.freeze()  # a collection would write to every object, and copy the memory that the workers share
