"""What every study needs, loaded: imported once, by the process that workers are forked from.

Enters, leaves: nothing. Refuses: to be imported by anything but the fork server (`curation.executor`). A worker that
takes the place of a dead one then starts in a tenth of a second, and the memory of what is loaded here is shared.
"""

import volumes.convert
import volumes.index
import volumes.nifti
import volumes.select
import volumes.siblings
import volumes.stacks  # noqa: F401
from reports.parse import parse_report

parse_report("FINDINGS: The liver is normal.")
