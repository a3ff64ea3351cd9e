"""What a lab needs of the machine is named in lab.yaml, and said when it is missing."""

import subprocess
import sys
from pathlib import Path

import pytest

from netproxy.core.errors import ManifestError
from netproxy.labkit.needs import LOOKS, lacking
from netproxy.labkit.spec import NEEDS, Lab, load_lab

LABS = Path(__file__).parents[2] / "labs"


def a_lab(folder, text):
    (folder / "lab.yaml").write_text(text)
    (folder / "checks.yaml").write_text("checks: []")
    return load_lab(str(folder))


def test_every_need_can_be_looked_for():
    assert sorted(LOOKS) == sorted(NEEDS)


@pytest.mark.parametrize(
    ("text", "needs"),
    [("title: x", ()), ("needs: ipvs", ("ipvs",)), ("needs: [ipvs, python-iptables]", ("ipvs", "python-iptables"))],
)
def test_needs_are_a_word_or_a_list(text, needs, tmp_path):
    assert a_lab(tmp_path, text).needs == needs


def test_a_need_that_nobody_can_look_for_is_refused(tmp_path):
    with pytest.raises(ManifestError, match=r'lab.yaml: needs: Unsupported value: "luck": supported values: ipvs, '):
        a_lab(tmp_path, "needs: luck")


def test_a_lab_without_needs_lacks_nothing(tmp_path):
    assert lacking(Lab(tmp_path, "", "", ())) == []


def test_the_lab_of_python_iptables_says_which_extra_brings_it():
    """In a process for which the module is not there. The cluster is not even started."""
    lab = LABS / "04-iptables-by-hand"
    assert load_lab(str(lab)).needs == ("python-iptables",)
    program = (
        "import sys; sys.modules['iptc'] = None\n"
        "from netproxy.cli.main import main\n"
        f"main(['lab', 'up', {str(lab)!r}, '--variant', 'solution'])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=LABS.parent)
    assert done.returncode == 1
    assert (
        f"needs python-iptables: the module iptc is not installed; `{sys.executable} -m pip install 'netproxy[legacy]'`"
        in done.stderr
    )
