"""Without this, tests would build in the user's cache, out of the way of ``make clean``."""

import os
from pathlib import Path

# In front of all imports: the folder is chosen once in a process.
os.environ.setdefault("BACKSPIKE_BUILD", str(Path(__file__).parents[1] / "build"))
