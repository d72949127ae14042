"""Installing detectron2, which has no release on the Python package index.

`index` takes the unmodified Apache-2.0 files of detectron2 0.6 that the distribution LabGym 3.1.2 carries as a sub-package,
undoes its import prefix and installs them as an ordinary wheel named detectron2. That build has no compiled operators: rotated
boxes and deformable convolutions need `git`, which compiles detectron2's own repository.
"""

import base64
import hashlib
import importlib.metadata
import importlib.util
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from mic_det.errors import UserError

CARRIER = "LabGym==3.1.2"
CARRIER_SHA256 = "a2900cff8a3fb508e1975f19b5f9abd9f261966db87b0c332697fb4138c1cb2b"
CARRIER_PREFIX = "LabGym/detectron2/"
VERSION = "0.6"
REPOSITORY = "https://github.com/facebookresearch/detectron2.git"
CHECKOUT = Path(__file__).resolve().parents[2]

METADATA = f"""\
Metadata-Version: 2.1
Name: detectron2
Version: {VERSION}
Summary: Detectron2: FAIR's detection and segmentation library, without compiled operators
Home-page: https://github.com/facebookresearch/detectron2
Author: FAIR
License: Apache-2.0
License-File: LICENSE
Requires-Python: >=3.7
Requires-Dist: Pillow>=7.1
Requires-Dist: matplotlib
Requires-Dist: pycocotools>=2.0.2
Requires-Dist: termcolor>=1.1
Requires-Dist: yacs>=0.1.8
Requires-Dist: tabulate
Requires-Dist: cloudpickle
Requires-Dist: tqdm>4.29.0
Requires-Dist: tensorboard
Requires-Dist: fvcore<0.1.6,>=0.1.5
Requires-Dist: iopath>=0.1.7
Requires-Dist: omegaconf>=2.1
Requires-Dist: hydra-core>=1.1
Requires-Dist: packaging
Requires-Dist: setuptools<81
"""
WHEEL = "Wheel-Version: 1.0\nGenerator: mic-det\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def license_text() -> bytes:
    """The Apache License 2.0, which is both detectron2's and mic-det's."""
    path = CHECKOUT / "LICENSE"
    if not path.is_file():
        found = [file for file in importlib.metadata.files("mic-det") or () if file.name == "LICENSE"]
        path = Path(str(found[0].locate()))
    return path.read_bytes()


def pip(*args: str, failure: str) -> None:
    """Run pip in this interpreter's environment.

    Raises:
        UserError: `failure` with pip's last error line.
    """
    run = subprocess.run([sys.executable, "-m", "pip", *args], capture_output=True, text=True)
    if run.returncode:
        lines = [line for line in run.stderr.splitlines() if line.strip()] or ["no message"]
        errors = [line for line in lines if line.startswith("ERROR")] or lines
        raise UserError(f"{failure} (pip: {errors[-1].removeprefix('ERROR: ')})")


def download_carrier(folder: Path) -> Path:
    """Fetch the wheel that carries detectron2's files from the package index."""
    pip(
        *("download", CARRIER, "--no-deps", "--ignore-requires-python", "--only-binary=:all:", "--dest", str(folder)),
        failure=f"Could not fetch {CARRIER} from the package index; check the network and pip's index settings, "
        "or use --source git.",
    )
    return next(folder.glob("*.whl"))


def verify(wheel: Path) -> None:
    """Raise UserError unless a file is the one that this was written for."""
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if digest != CARRIER_SHA256:
        raise UserError(
            f"{wheel.name} has sha256 {digest}, expected {CARRIER_SHA256}: the file is not the one this "
            "installer was written for, nothing was installed; use --source git."
        )


def record_line(name: str, data: bytes) -> str:
    """A line of a wheel's RECORD."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(data)}\n"


def repack(carrier: Path, folder: Path) -> Path:
    """Write a detectron2 wheel holding the carried files with their import prefix undone."""
    info = f"detectron2-{VERSION}.dist-info"
    with zipfile.ZipFile(carrier) as source:
        files = {
            name.removeprefix("LabGym/"): source.read(name)
            for name in source.namelist()
            if name.startswith(CARRIER_PREFIX) and not name.endswith("/")
        }
    for name, data in files.items():
        if name.endswith(".py"):
            files[name] = data.replace(b"LabGym.detectron2", b"detectron2")
    files[f"{info}/METADATA"] = METADATA.encode()
    files[f"{info}/WHEEL"] = WHEEL.encode()
    files[f"{info}/licenses/LICENSE"] = license_text()
    record = f"{info}/RECORD"
    wheel = folder / f"detectron2-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as target:
        for name, data in files.items():
            target.writestr(name, data)
        target.writestr(record, "".join(record_line(*item) for item in files.items()) + f"{record},,\n")
    return wheel


def install_from_index() -> None:
    """Install the repacked files; needs no compiler."""
    with tempfile.TemporaryDirectory() as folder:
        carrier = download_carrier(Path(folder))
        verify(carrier)
        wheel = repack(carrier, Path(folder))
        constraints = CHECKOUT / "constraints.txt"
        pinned = ("--constraint", str(constraints)) if constraints.exists() else ()
        pip("install", str(wheel), *pinned, failure="Could not install the repacked detectron2 wheel.")


def install_from_git(ref: str | None) -> None:
    """Compile and install detectron2's repository.

    Args:
        ref: branch, tag or commit; None for the default branch.

    Raises:
        UserError: when torch, git or a compiler is missing, or the build fails.
    """
    if importlib.util.find_spec("torch") is None:
        raise UserError("detectron2 compiles against torch: install torch first (pip install torch torchvision).")
    if shutil.which("git") is None:
        raise UserError("--source git needs the git command, which was not found on PATH.")
    if not any(shutil.which(compiler) for compiler in ("c++", "g++", "clang++", "cl")):
        raise UserError("--source git compiles operators and no C++ compiler was found: install g++, or use --source index.")
    target = f"git+{REPOSITORY}" + (f"@{ref}" if ref else "")
    # detectron2's setup.py imports torch, which pip's isolated build environment does not have.
    pip(
        *("install", "--no-build-isolation", target),
        failure=f"Could not build detectron2 from {target}; check the network, --ref and the compiler.",
    )


def describe_installed() -> str | None:
    """Version and place of an importable detectron2, or None. A fresh process, so that nothing is cached."""
    code = "import detectron2; print(detectron2.__version__, 'in', detectron2.__path__[0])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    return run.stdout.strip() if run.returncode == 0 else None


def install(source: str = "index", ref: str | None = None) -> str:
    """Install detectron2 unless one imports already; returns what was done, in one sentence.

    Args:
        source: "index" or "git".
        ref: branch, tag or commit for "git".

    Raises:
        UserError: when it cannot be installed, or does not import afterwards.
    """
    found = describe_installed()
    if found:
        return f"detectron2 {found} is kept."
    install_from_git(ref) if source == "git" else install_from_index()
    found = describe_installed()
    if not found:
        raise UserError("detectron2 was installed but does not import; is torch installed?")
    return f"detectron2 {found} was installed from {source}."
