"""How a shard's images are worked on one after another."""

import platform
import subprocess
import sys

import pytest

GLIBC = platform.libc_ver()[0] == "glibc"


@pytest.mark.skipif(not GLIBC, reason="only glibc can be told to keep freed memory")
def test_an_image_gets_the_memory_of_the_last_one():
    """Else the system clears new pages for every array: 98 a copy of 224 x 224 floats."""
    script = (
        "import resource, numpy as np\n"
        "from mcalc.images.shards import for_each\n"
        "def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "def work(_): return sum(np.ones((224, 224)) + copy for copy in range(5)).mean()\n"
        "list(for_each([0] * 5, work))\n"
        "before = faults()\n"
        "list(for_each([0] * 100, work))\n"
        "print(faults() - before)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert int(done.stdout) < 1000, done.stderr
