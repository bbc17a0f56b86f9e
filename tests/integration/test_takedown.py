"""A takedown in a real workspace, with git, DVC and a remote: no file holds the image afterwards, however it is killed."""

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from components.data import opt_out, records
from components.lineage.keys import make_key
from tests.conftest import Workspace

