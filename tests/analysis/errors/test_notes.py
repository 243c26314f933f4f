"""Notes: kept, searched, merged; nobody's words are lost, whoever writes when."""

from __future__ import annotations

import json
import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afrd.analysis.errors.notes import MAX_NOTE_LENGTH, Note, Notes, cleaned, merged
from afrd.runs.shared_file import MAX_VERSIONS, Key, SharedFile

words = st.text("ab\n", max_size=4).map(str.strip)
notes_of_people = st.builds(Note, words, st.lists(st.sampled_from("xyz"), unique=True).map(tuple))


def test_a_note_is_kept_with_the_run_and_an_empty_one_goes(tmp_path: Path):
    notes = Notes(tmp_path)
    assert notes.of("test") == {} and notes.tags() == []
    notes.save("test", "scratch/007", Note("faint", ("shiny", "rim")))
    notes.save("val", "01", Note(tags=("rim",)))
    assert Notes(tmp_path).of("test") == {"scratch/007": Note("faint", ("shiny", "rim"))}
    assert notes.tags() == ["rim", "shiny"]
    notes.save("test", "scratch/007", Note())
    assert Notes(tmp_path).of("test") == {}


def test_runs_of_a_folder_share_one_file_and_each_has_its_own_notes(tmp_path: Path):
    for run in ("a", "b"):
        (tmp_path / run).mkdir()
        Notes(tmp_path / run).save("test", "01", Note(f"“ü” <b> {run}"))
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["notes.sqlite"]
    assert Notes(tmp_path / "b").of("test") == {"01": Note("“ü” <b> b")}


def write_many(folder: str, who: int) -> None:
    for i in range(15):
        Notes(folder).save("test", f"{who}-{i}", Note(f"{who}"))
        assert f"{who}-{i}" in Notes(folder).of("test")


def write_in_threads(folder: str, first: int) -> None:
    """As one page with four users does."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda who: write_many(folder, who), range(first, first + 4)))


def write_on_one(folder: str, who: int) -> None:
    for i in range(5):
        Notes(folder).save("test", "same", Note(tags=(f"{who}-{i}",)) if i else Note(f"text of {who}"), Note())


def test_processes_and_threads_that_write_at_once_lose_none_of_each_other_s_notes(tmp_path: Path):
    run = tmp_path / "run"
    run.mkdir()
    context = multiprocessing.get_context("spawn")
    others = [context.Process(target=write_in_threads, args=(str(run), first)) for first in (10, 20)]
    others.append(context.Process(target=write_on_one, args=(str(run), 0)))
    others.append(context.Process(target=write_on_one, args=(str(run), 1)))
    for other in others:
        other.start()
    write_in_threads(str(run), 30)
    for other in others:
        other.join(120)
        assert other.exitcode == 0
    written = Notes(run).of("test")
    same = written.pop("same")
    assert set(written) == {f"{who + i}-{k}" for who in (10, 20, 30) for i in range(4) for k in range(15)}
    assert set(same.tags) == {f"{who}-{i}" for who in range(2) for i in range(1, 5)}
    assert all(f"text of {who}" in same.text for who in range(2))


def test_two_people_on_one_sample_both_keep_their_words(tmp_path: Path):
    notes = Notes(tmp_path)
    seen = notes.save("test", "01", Note("dent?", ("unsure", "rim")))
    notes.save("test", "01", Note("dent, yes", ("rim", "sure")), seen)
    stored = notes.save("test", "01", Note("a stain", ("unsure", "rim", "mine")), seen)
    assert stored == notes.of("test")["01"]
    assert stored.text == "dent, yes\na stain"
    assert set(stored.tags) == {"rim", "sure", "mine"}


def test_who_changes_only_tags_does_not_undo_another_s_text(tmp_path: Path):
    notes = Notes(tmp_path)
    notes.save("test", "01", Note("theirs"), Note())
    assert notes.save("test", "01", Note("", ("mine",)), Note()) == Note("theirs", ("mine",))


@given(notes_of_people, notes_of_people, notes_of_people)
def test_a_merge_keeps_every_new_text_and_tag(seen: Note, stored: Note, new: Note):
    both = merged(stored, new, seen)
    for mine in (stored, new):
        if mine.text != seen.text and mine.text:
            # replaced by the same hand only: who wrote from `seen` has not seen the other's text
            assert mine.text in both.text
        assert set(mine.tags) - set(seen.tags) <= set(both.tags)
    assert merged(seen, new, seen) == new and merged(new, new, seen) == new


def test_texts_are_cleaned_and_limits_are_told(tmp_path: Path):
    strange = Note(" a\x00b\r\nc\td\u202e ", (" To  do ", "to do", "", "\x07bell"))
    assert cleaned(strange) == Note("ab\nc d", ("To do", "bell"))
    with pytest.raises(ValueError, match=f"the note has 2001 characters; at most {MAX_NOTE_LENGTH} are kept"):
        cleaned(Note("x" * 2001))
    with pytest.raises(ValueError, match="has 41 characters; at most 40"):
        cleaned(Note(tags=("y" * 41,)))
    with pytest.raises(ValueError, match="there are 13 tags; a sample has at most 12"):
        cleaned(Note(tags=tuple(map(str, range(13)))))
    with pytest.raises(ValueError, match="no run folder"):
        Notes(tmp_path / "gone").save("test", "01", Note("a"))
    assert not (tmp_path / "gone").exists()


def as_earlier(folder: Path, splits: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "notes.json").write_text(json.dumps({"format": 1, "splits": splits}))
    return folder


EARLIER = {"test": {"01": {"text": "dent", "tags": ["rim"]}, "02": {"text": "", "tags": ["x"]}}}


def test_notes_of_earlier_versions_are_taken_over_once_and_their_file_stays(tmp_path: Path):
    run = as_earlier(tmp_path / "run", EARLIER)
    content = (run / "notes.json").read_bytes()
    notes = Notes(run)
    assert notes.of("test") == {"01": Note("dent", ("rim",)), "02": Note(tags=("x",))}
    notes.save("test", "01", Note())
    assert Notes(run).of("test") == {"02": Note(tags=("x",))}  # what is removed does not come back
    assert (run / "notes.json").read_bytes() == content
    assert not notes.can_undo("test", "02")


def test_who_writes_first_takes_over_as_well(tmp_path: Path):
    run = as_earlier(tmp_path / "run", EARLIER)
    stored = Notes(run).save("test", "01", Note("mine", ()), Note())
    assert stored == Note("dent\nmine", ("rim",)) and "02" in Notes(run).of("test")


def read_first(folder: str) -> None:
    assert len(Notes(folder).of("test")) == 2


def test_several_who_open_earlier_notes_at_once_take_them_over_once(tmp_path: Path):
    run = as_earlier(tmp_path / "run", EARLIER)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(read_first, [str(run)] * 8))
    with SharedFile(tmp_path).reading() as entries:
        rows = entries._connection.execute("SELECT COUNT(*) FROM versions").fetchone()
    assert rows == (3,)


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"format": 2, "splits": {}}', '{"format": 1, "splits": {"test": {"01": {"text": 3}}}}']
)
def test_a_broken_file_of_earlier_notes_is_named_and_never_overwritten(content: str, tmp_path: Path):
    run = as_earlier(tmp_path / "run", {})
    (run / "notes.json").write_text(content)
    with pytest.raises(ValueError, match=r"notes\.json does not hold notes .*move it away to start anew"):
        Notes(run).of("test")
    with pytest.raises(ValueError, match=r"notes\.json does not hold notes"):
        Notes(run).save("test", "01", Note("a"))
    assert (run / "notes.json").read_text() == content


def test_a_change_is_undone_and_so_is_a_removal(tmp_path: Path):
    notes = Notes(tmp_path)
    with pytest.raises(ValueError, match="no change of the note on 01 to undo"):
        notes.undo("test", "01")
    notes.save("test", "01", Note("first", ("a",)))
    notes.save("test", "01", Note("second"))
    notes.save("test", "02", Note("another"))
    notes.save("test", "01", Note())
    assert notes.undo("test", "01", Note()) == Note("second")
    with pytest.raises(ValueError, match="somebody else has changed the note on 01 meanwhile"):
        notes.undo("test", "01", Note("what I saw"))
    assert notes.undo("test", "01", Note("second")) == Note("first", ("a",))
    assert notes.undo("test", "01") == Note() and not notes.can_undo("test", "01")
    assert notes.of("test") == {"02": Note("another")}


def test_the_oldest_of_many_versions_goes_and_what_is_left_can_be_undone(tmp_path: Path):
    notes = Notes(tmp_path)
    for i in range(MAX_VERSIONS + 5):
        notes.save("test", "01", Note(f"version {i}"))
    undone = 0
    while notes.can_undo("test", "01"):
        notes.undo("test", "01")
        undone += 1
    assert undone == MAX_VERSIONS - 1 and notes.of("test") == {"01": Note("version 5")}


def test_a_stranger_s_value_that_is_no_note_is_one_sentence(tmp_path: Path):
    with SharedFile(tmp_path.parent).writing() as entries:
        entries.put(Key("note", tmp_path.name, "test", "01"), {"text": 3})
    with pytest.raises(ValueError, match=r"notes\.sqlite is damaged \(a note should have a text and a list of tags\)"):
        Notes(tmp_path).of("test")
