"""What tests ask of the findings of `nightshelf doctor`."""

from __future__ import annotations

from db.doctor.finding import Finding, Verdict

OK, WARNING, BAD, FATAL = Verdict.OK, Verdict.WARNING, Verdict.BAD, Verdict.FATAL

# The password that tests use, and that nothing may print.
SECRET = "hunter2"


def by_name(found: list[Finding]) -> dict[str, Finding]:
    """The findings by what they are about, each once."""
    names = {one.what: one for one in found}
    assert len(names) == len(found)
    for one in found:
        assert bool(one.cure) is (one.verdict is not OK), one
        assert SECRET not in str(one)
        assert "\n" not in one.value + one.cure
    return names


def wrong(found: list[Finding]) -> dict[str, Verdict]:
    """The verdicts that are not `ok`, by what they are about."""
    return {what: one.verdict for what, one in by_name(found).items() if one.verdict is not OK}


def as_user(url: str, user: str, password: str) -> str:
    """The address, with a login in it."""
    return url.replace("://", f"://{user}:{password}@")


def assert_verdict(found: Finding, verdict: Verdict) -> None:
    """Fail unless the finding has this verdict, and a cure where there is something to cure."""
    assert found.verdict is verdict, found
    assert bool(found.cure) is (verdict is not OK), "a cure where there is something to cure"
    assert found.refuses is (verdict is FATAL)
    assert "\n" not in found.value + found.cure
