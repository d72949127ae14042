import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'^__version__ = "(.+?)"', (HERE / "mic_det/__init__.py").read_text(), re.M).group(1)
# configs/ of the checkout becomes the package's: each of its folders is one in the wheel.
CONFIGS = {
    ".".join(("mic_det", *folder.relative_to(HERE).parts)): str(folder.relative_to(HERE))
    for folder in (HERE / "configs", *(path for path in (HERE / "configs").rglob("*") if path.is_dir()))
    if folder.name != "__pycache__"
}
EXTRAS = {
    "opencv": ["opencv-python"],
    "headless": ["opencv-python-headless"],
    "fast": ["faster-coco-eval"],
    "timm": ["timm"],
    "segmentation": ["transformers>=5"],
    "text": ["open_clip_torch", "transformers>=5", "sentence-transformers"],
    "export": ["onnx", "onnxscript", "onnxruntime"],
    "hub": ["safetensors", "huggingface_hub"],
    "supervision": ["supervision"],
    "fiftyone": ["fiftyone"],
    "wandb": ["wandb"],
    "mlflow": ["mlflow"],
    "docs": ["mkdocs-material", "mkdocstrings[python]", "nbclient", "nbformat", "ipykernel"],
}
TESTED = ("headless", "fast", "timm", "segmentation", "text", "export", "hub", "supervision", "docs")

setup(
    name="mic-det",
    version=VERSION,
    description="Unsupervised domain adaptation for detectron2 with Masked Image Consistency",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    project_urls={
        "Paper": "https://arxiv.org/abs/2212.01322",
        "detectron2": "https://github.com/facebookresearch/detectron2",
    },
    license="Apache-2.0",
    license_files=["LICENSE"],
    packages=[*find_packages(include=["mic_det", "mic_det.*"]), *CONFIGS],
    package_dir=CONFIGS,
    package_data={
        "mic_det": ["py.typed"],
        "mic_det.reporting": ["*.html.j2", "*.css", "*.js"],
        **{name: ["*.yaml", "*.pth", "*.md"] for name in CONFIGS},
    },
    entry_points={"console_scripts": ["mic-det = mic_det.cli:main"]},
    python_requires=">=3.10",
    # detectron2 has no release on the package index and OpenCV comes in two flavours:
    # `mic-det install-detectron2` installs the first, the extra `opencv` or `headless` the second.
    install_requires=[
        "torch>=2.6",
        "torchvision>=0.21",
        "numpy>=1.26",
        "safetensors",
        "click>=8.2",
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
        **EXTRAS,
        "dev": [
            *sorted({name for extra in TESTED for name in EXTRAS[extra]}),
            "pytest",
            "pytest-cov",
            "pytest-xdist",
            "hypothesis",
            "playwright",
            "ruff",
            "codespell",
            "mypy",
            "types-PyYAML",
            "types-pycocotools",
            "types-tabulate",
            "types-tqdm",
            "import-linter",
            "build",
            "setuptools<81",  # detectron2.model_zoo imports pkg_resources
            "wheel",
        ],
    },
    classifiers=[
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
)
