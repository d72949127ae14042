import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+?)"', (HERE / "mic_det/__init__.py").read_text()).group(1)

setup(
    name="mic-det",
    version=VERSION,
    description="Unsupervised domain adaptation for detectron2 with Masked Image Consistency",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    packages=find_packages(include=["mic_det", "mic_det.*"]),
    package_data={"mic_det.reporting": ["*.html.j2"]},
    python_requires=">=3.10",
    # detectron2 has no release on the package index and OpenCV comes in two flavours:
    # tools/install_detectron2.py installs the first, the extra `opencv` or the user the second.
    install_requires=[
        "torch>=2.4",
        "torchvision>=0.19",
        "numpy",
        "fvcore",
        "iopath",
        "pycocotools",
        "tabulate",
        "tqdm",
        "tensorboard",
        "matplotlib",
        "Jinja2",
        "Pillow",
        "PyYAML",
        "pydantic>=2",
    ],
    extras_require={
        "opencv": ["opencv-python"],
        "headless": ["opencv-python-headless"],
        "fast": ["faster-coco-eval"],
        "timm": ["timm"],
        "segmentation": ["transformers>=5"],
        "text": ["open_clip_torch", "transformers>=5", "sentence-transformers"],
        "export": ["onnx", "onnxscript", "onnxruntime"],
        "dev": [
            "opencv-python-headless",
            "faster-coco-eval",
            "timm",
            "transformers>=5",
            "open_clip_torch",
            "sentence-transformers",
            "onnx",
            "onnxscript",
            "onnxruntime",
            "pytest",
            "pytest-cov",
            "pytest-xdist",
            "hypothesis",
            "ruff",
            "codespell",
            "setuptools<81",  # detectron2.model_zoo imports pkg_resources
            "wheel",
        ],
    },
    classifiers=[
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
