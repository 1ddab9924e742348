"""A contract's folder: what is read, and how what is wrong names its file and line."""

import shutil
from pathlib import Path

import pytest

from drystone.contracts.package import RESERVED
from drystone.errors import AlreadyExists, ContractManifest, ContractSource
from drystone.workshop.findings import findings
from drystone.workshop.folder import bundled_folders, find_folder, read_folder
from drystone.workshop.start import begin

METER = Path(__file__).parent / "meter"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a copy of the folder `meter` to spoil."""
    return Path(shutil.copytree(METER, tmp_path / "meter"))


def spoil(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


class TestRead:
    def test_folder_is_read_whole(self) -> None:
        found = read_folder(METER)
        assert (found.name, found.version) == ("meter", 1)
        assert [profile["name"] for profile in found.profiles] == ["electricity"]
        assert found.roles == {}
        assert findings(found) == []

    def test_arguments_are_those_of_submit_and_keep_the_folder(self) -> None:
        found = read_folder(METER)
        assert found.arguments()["source"] == (METER / "contract.star").read_text()
        assert found.arguments(version=7)["manifest"]["version"] == 7
        assert found.arguments()["manifest"]["version"] == 1

    def test_profiles_and_roles_need_not_be_there(self, folder: Path) -> None:
        (folder / "profiles.toml").unlink()
        assert read_folder(folder).profiles == ()

    def test_every_bundled_contract_is_sound(self) -> None:
        for path in bundled_folders():
            assert findings(read_folder(path)) == []

    def test_folder_is_found_by_path_nearby_or_among_the_bundled(self, tmp_path: Path) -> None:
        assert find_folder(METER) == METER
        assert find_folder("meter", near=METER.parent) == METER
        assert find_folder("meter", near=METER / "..").resolve() == METER
        with pytest.raises(ContractManifest, match="no contract 'nothing'"):
            find_folder("nothing", near=tmp_path)


class TestWrong:
    @pytest.mark.parametrize(
        ("old", "new", "place", "rule"),
        [
            ("    check(value)", "    chek(value)", 25, "'chek' is no function"),
            ("value > 3:", "1 < value < 3:", 28, "one comparison at a time"),
            ("value > 3:", "value / 3:", 28, "/ makes floats"),
            ("    put(", "    pu\tt(", 20, "only printable ASCII"),
            ("def half(", "def half((", 23, "not valid syntax"),
        ],
    )
    def test_source_names_file_line_and_rule(
        self, folder: Path, old: str, new: str, place: int, rule: str
    ) -> None:
        spoil(folder / "contract.star", old, new)
        with pytest.raises(ContractSource) as caught:
            read_folder(folder)
        assert str(caught.value).startswith(f"{folder}/contract.star:{place}: ")
        assert rule in str(caught.value)

    @pytest.mark.parametrize(
        ("old", "new", "place"),
        [
            ('name = "meter"', 'name = "Meter"', 1),
            ("version = 1", "version = 0", 2),
            ('exports = ["set_limit"]', 'exports = ["nothing"]', 3),
            ("limit = 2000", "limit = 2_000_000", 8),
            ("[calls.half]", "[calls.haf]", 14),
            ('value = "text"', 'value = "float"', 18),
            ("version = 1", "version = 1.5", 2),
            ("version = 1", "version = ", 2),
            ("version = 1", "version = 1\ncolour = 7", 3),
        ],
    )
    def test_manifest_names_file_and_line(
        self, folder: Path, old: str, new: str, place: int
    ) -> None:
        spoil(folder / "contract.toml", old, new)
        with pytest.raises(ContractManifest) as caught:
            read_folder(folder)
        assert str(caught.value).startswith(f"{folder}/contract.toml:{place}: ")

    @pytest.mark.parametrize("name", ["contract.toml", "contract.star"])
    def test_missing_file_is_named(self, folder: Path, name: str) -> None:
        (folder / name).unlink()
        with pytest.raises((ContractManifest, ContractSource), match=name):
            read_folder(folder)

    @pytest.mark.parametrize("name", ["contract.toml", "contract.star"])
    def test_file_that_is_no_text_is_named(self, folder: Path, name: str) -> None:
        (folder / name).write_bytes(b"\xff\xfe")
        with pytest.raises((ContractManifest, ContractSource), match=f"{name}:1: not UTF-8"):
            read_folder(folder)

    @pytest.mark.parametrize(
        "text",
        ["x = 1\n", "profile = 3\n", "[[profile]]\nmeasurements = []\n", "[[profile]]\nname = 3\n"],
    )
    def test_profiles_are_tables_with_names(self, folder: Path, text: str) -> None:
        (folder / "profiles.toml").write_text(text)
        with pytest.raises(ContractManifest, match=r"profiles\.toml:1: "):
            read_folder(folder)

    def test_role_that_a_call_asks_for_is_explained(self, folder: Path) -> None:
        spoil(folder / "contract.toml", '"governor"', '"engineer"')
        (folder / "roles.toml").write_text("[roles]\n")
        with pytest.raises(ContractManifest, match="'engineer' is asked for by a call"):
            read_folder(folder)
        (folder / "roles.toml").write_text('[roles]\nengineer = "Repairs machines."\n')
        assert read_folder(folder).roles == {"engineer": "Repairs machines."}
        (folder / "roles.toml").write_text("[role]\n")
        with pytest.raises(ContractManifest, match="one table"):
            read_folder(folder)


class TestFindings:
    @pytest.mark.parametrize(
        ("file", "old", "new", "finding"),
        [
            ("contract.toml", "limit = 2000", "limit = 20", "contract.toml:6: on_reading may take"),
            ("profiles.toml", 'rule = "meter"', 'rule = "water"', "profiles.toml:2: rule 'water'"),
            ("profiles.toml", '"Wh"', '"Whh"', "profiles.toml:2: 'Whh' is no SenML unit"),
        ],
    )
    def test_what_only_use_would_show_is_found(
        self, folder: Path, file: str, old: str, new: str, finding: str
    ) -> None:
        spoil(folder / file, old, new)
        (found,) = findings(read_folder(folder))
        assert found.startswith(f"{folder}/{finding}")

    def test_profile_of_a_contract_without_readings_is_found(self, folder: Path) -> None:
        spoil(folder / "contract.toml", '[reading]\nfunction = "on_reading"\n', "")
        spoil(folder / "contract.toml", 'reads = ["limit"]\nlimit = 2000\n', "")
        (found,) = findings(read_folder(folder))
        assert "contract 'meter' handles no readings" in found


class TestBegin:
    def test_new_folder_holds_a_sound_contract_of_its_name(self, tmp_path: Path) -> None:
        written = begin("frost-alarm", tmp_path / "frost")
        assert [path.name for path in written] == [
            "contract.toml",
            "contract.star",
            "profiles.toml",
            "test_frost_alarm.py",
        ]
        found = read_folder(tmp_path / "frost")
        assert found.name == "frost-alarm"
        assert findings(found) == []
        assert "example" not in "".join(path.read_text() for path in written)

    @pytest.mark.parametrize("name", ["", "Frost", "1st", "a_b", "x" * 33, *sorted(RESERVED)])
    def test_name_that_is_none_is_refused(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(ContractManifest, match="name"):
            begin(name, tmp_path / "x")
        assert not (tmp_path / "x").exists()

    def test_folder_that_holds_something_is_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "mine").write_text("x")
        with pytest.raises(AlreadyExists):
            begin("frost", tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["mine"]
