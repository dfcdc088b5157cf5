"""The environment in which notebooks run: one thread a kernel, no progress bars, quiet kernels."""

import os

from tools.paths import BUILD

KERNEL_CONFIG = """\
c.IPKernelApp.log_level = 40  # silences the notice that each kernel prints about its TCP port
c.HistoryManager.enabled = False  # parallel kernels would wait for one history file
"""


def prepare():
    """Set the variables in this process, so that every kernel it starts inherits them."""
    folder = BUILD / "ipython"
    profile = folder / "profile_default"
    profile.mkdir(parents=True, exist_ok=True)
    (profile / "ipython_kernel_config.py").write_text(KERNEL_CONFIG)
    os.environ.update(
        IPYTHONDIR=str(folder),
        GAN_PROGRESS="0",
        OMP_NUM_THREADS="1",
        MKL_NUM_THREADS="1",
        PYTHONHASHSEED="0",
        MPLBACKEND="module://matplotlib_inline.backend_inline",
        PYDEVD_DISABLE_FILE_VALIDATION="1",
        JUPYTER_PLATFORM_DIRS="1",
    )
