"""The provider's statements: what is said is taken, what is not known is refused in one line."""

from pathlib import Path

import pytest

from components.lineage.audit.document import AuditError
from components.lineage.audit.provider import read_provider


def test_statements_are_read(tmp_path: Path) -> None:
    file = tmp_path / "provider.yaml"
    file.write_text("provider:\n  name: Ann's\n  sources:\n    noto: {kind: public, title: Noto}\nother: 1\n")
    found = read_provider(file)
    assert (found.name, found.contact, found.sources["noto"].kind) == ("Ann's", "", "public")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no block `provider:`"),
        ("provider: Ann's", "no block `provider:`"),
        ("provider: {nam: x}", r"provider\.nam: .*allowed: name, contact"),
        ("provider: {sources: {noto: {kind: found}}}", r"provider\.sources\.noto\.kind"),
        ("provider: [", "provider.yaml: "),
        ("provider: {used_crawlers: perhaps}", r"provider\.used_crawlers"),
    ],
)
def test_mistakes_are_named_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "provider.yaml"
    file.write_text(text)
    with pytest.raises(AuditError, match=said) as caught:
        read_provider(file)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="No such file"):
        read_provider(tmp_path / "none.yaml")
