"""Notes: kept, searched, merged; nobody's words are lost, whoever writes when."""

from __future__ import annotations

import json
import multiprocessing
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afrd.analysis.errors.notes import MAX_NOTE_LENGTH, Note, Notes, cleaned, merged

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


def test_the_file_is_plain_json(tmp_path: Path):
    Notes(tmp_path).save("test", "01", Note("“ü” <b>", ("a",)))
    content = json.loads((tmp_path / "notes.json").read_text())
    assert content == {"format": 1, "splits": {"test": {"01": {"text": "“ü” <b>", "tags": ["a"]}}}}


def write_many(folder: str, who: int) -> None:
    for i in range(15):
        Notes(folder).save("test", f"{who}-{i}", Note(f"{who}"))


def test_two_processes_and_several_threads_lose_none_of_each_other_s_notes(tmp_path: Path):
    context = multiprocessing.get_context("spawn")
    other = context.Process(target=write_many, args=(str(tmp_path), 9))
    other.start()
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda who: write_many(str(tmp_path), who), range(3)))
    other.join(60)
    assert set(Notes(tmp_path).of("test")) == {f"{who}-{i}" for who in (0, 1, 2, 9) for i in range(15)}


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


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"format": 2, "splits": {}}', '{"format": 1, "splits": {"test": {"01": {"text": 3}}}}']
)
def test_a_broken_file_is_named_and_never_overwritten(content: str, tmp_path: Path):
    (tmp_path / "notes.json").write_text(content)
    with pytest.raises(ValueError, match=r"notes\.json does not hold notes .*move it away to start anew"):
        Notes(tmp_path).of("test")
    with pytest.raises(ValueError, match=r"notes\.json does not hold notes"):
        Notes(tmp_path).save("test", "01", Note("a"))
    assert (tmp_path / "notes.json").read_text() == content


def test_a_folder_that_cannot_be_written_to_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import afrd.analysis.errors.notes

    def refuse(path: Path, content: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(afrd.analysis.errors.notes, "save_json", refuse)
    with pytest.raises(ValueError, match=r"notes cannot be saved in .* \(Permission denied\)"):
        Notes(tmp_path).save("test", "01", Note("a"))
    assert not (tmp_path / "notes.json").exists()


def test_notes_can_be_read_by_others(tmp_path: Path):
    Notes(tmp_path).save("test", "01", Note("a"))
    assert stat.S_IMODE((tmp_path / "notes.json").stat().st_mode) & 0o444 == 0o444
