"""The labs go into the wheel: `labs/` beside the package becomes `netproxy/labs` in it. All else is in pyproject.toml."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent


class BuildWithLabs(build_py):
    """Copies the labs after the modules."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            for file in sorted((HERE / "labs").rglob("*")):
                if file.is_file() and "__pycache__" not in file.parts:
                    target = Path(self.build_lib, "netproxy", file.relative_to(HERE))
                    target.parent.mkdir(parents=True, exist_ok=True)
                    self.copy_file(str(file), str(target), preserve_mode=False)


setup(cmdclass={"build_py": BuildWithLabs})
