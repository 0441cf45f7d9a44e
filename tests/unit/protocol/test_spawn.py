import pytest

from pyqmail.protocol import spawn
from pyqmail.protocol.spawn import Job, JobReader, Report, ReportReader

JOB = Job(0, b"20/457", b"joe@a", b"bob@b")


def test_a_job_reads_as_the_manual_shows_it() -> None:
    assert spawn.encode_job(JOB) == b"\x0020/457\0joe@a\0bob@b\0"


def test_a_wide_job_has_the_high_byte_of_its_slot_first() -> None:
    job = Job(258, b"20/457", b"", b"bob@b")

    assert spawn.encode_job(job, 2) == b"\x01\x0220/457\0\0bob@b\0"


@pytest.mark.parametrize("width", [1, 2])
@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
def test_jobs_arrive_whole_however_the_bytes_are_cut(width: int, step: int) -> None:
    jobs = [JOB, Job(7, b"0/23", b"", b"a@b"), Job(0, b"1/1", b"x", b"y")]
    wire = b"".join(spawn.encode_job(job, width) for job in jobs)
    reader = JobReader(width)

    got = [job for at in range(0, len(wire), step) for job in reader.feed(wire[at : at + step])]

    assert got == jobs


def test_a_field_without_end_is_kept_only_in_part() -> None:
    reader = JobReader()

    assert list(reader.feed(b"\x05" + b"1" * 100_000)) == []
    (job,) = reader.feed(b"\0a\0b\0")

    assert job.slot == 5
    assert job.too_long
    assert len(job.message_path) == spawn.MAX_FIELD


def test_the_job_after_an_overlong_one_is_whole() -> None:
    reader = JobReader()

    jobs = list(reader.feed(b"\x05" + b"1" * 100_000 + b"\0a\0b\0" + spawn.encode_job(JOB)))

    assert jobs[1] == JOB


@pytest.mark.parametrize("width", [1, 2])
@pytest.mark.parametrize("step", [1, 2, 5, 1000])
def test_reports_arrive_whole_however_the_bytes_are_cut(width: int, step: int) -> None:
    wire = spawn.encode_report(0, b"Kdid 1+0+0\n", width) + spawn.encode_report(9, b"Dno\n", width)
    reader = ReportReader(width)

    got = [r for at in range(0, len(wire), step) for r in reader.feed(wire[at : at + step])]

    assert got == [Report(0, b"K", b"did 1+0+0\n"), Report(9, b"D", b"no\n")]


def test_a_nul_right_after_the_slot_is_an_empty_report() -> None:
    assert list(ReportReader().feed(b"\0\0\0Kok\0")) == [
        Report(0, b"", b""),
        Report(0, b"K", b"ok"),
    ]


def test_a_report_without_end_is_kept_only_in_part() -> None:
    reader = ReportReader()

    for _ in range(50):
        assert list(reader.feed(b"D" * 4096)) == []
    (report,) = reader.feed(b"\0")

    assert len(report.text) == spawn.MAX_REPORT - 2


def test_the_text_of_a_report_ends_at_its_first_nul() -> None:
    assert spawn.encode_report(3, b"Zone\0two") == b"\x03Zone\0"


@pytest.mark.parametrize(
    ("concurrency", "width"), [(0, 1), (120, 1), (255, 1), (256, 2), (60_000, 2)]
)
def test_slots_are_two_bytes_wide_only_above_255(concurrency: int, width: int) -> None:
    assert spawn.slot_width(concurrency) == width


@pytest.mark.parametrize(("slots", "width"), [(120, 1), (255, 1), (1000, 2)])
def test_the_greeting_says_the_number_of_slots(slots: int, width: int) -> None:
    greeting = spawn.encode_greeting(slots, width)

    assert len(greeting) == width
    assert spawn.decode_greeting(greeting) == slots


def test_a_greeting_never_promises_more_than_can_be_named() -> None:
    assert spawn.encode_greeting(1000, 1) == b"\xff"


def test_a_job_without_wishes_is_said_as_the_original_says_it() -> None:
    job = Job(3, b"20/457", b"sue@a", b"joe@b")

    assert spawn.encode_job(job) == b"\x0320/457\0sue@a\0joe@b\0"


def test_wishes_travel_behind_the_path() -> None:
    job = Job(3, b"20/457", b"sue@a", b"joe@b", wishes=b"RET=HDRS NOTIFY=SUCCESS")

    wire = spawn.encode_job(job)

    assert wire == b"\x0320/457 RET=HDRS NOTIFY=SUCCESS\0sue@a\0joe@b\0"
    assert list(JobReader().feed(wire)) == [job]


@pytest.mark.parametrize("path", [b"20/457 ", b"20/457 x", b" 20/457", b"20/4 57 NOTIFY=NEVER"])
def test_a_space_without_wishes_belongs_to_the_path(path: bytes) -> None:
    (job,) = JobReader().feed(b"\x03" + path + b"\0\0joe@b\0")

    assert (job.message_path, job.wishes) == (path, b"")
