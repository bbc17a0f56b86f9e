"""`pc`: pyarrow.compute for strict type checking.

Its functions are generated when it is imported, so type checkers know none of them; this one name says so once.
"""

from typing import Any

import pyarrow.compute

pc: Any = pyarrow.compute
