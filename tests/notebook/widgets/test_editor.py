from __future__ import annotations

import pytest

import trignb
from live_views import LIBRARY, Screen, control, picture
from trignb.notebook.widgets import Editor
from trignb.notebook.widgets.editor import TEMPLATE, difference

OTHER = '#!js api_version=1.0 name=other\nredis.registerFunction("f", () => 1);\n'


@pytest.fixture
def editor(live: trignb.Engine, screen: Screen) -> Editor:
    editor = live.editor()
    editor.show()
    return editor


def write(editor: Editor, code: str) -> None:
    control(editor, "Source").value = code


def click(editor: Editor, label: str) -> None:
    control(editor, label).click()


def test_begins_with_what_is_loaded(editor: Editor) -> None:
    assert control(editor, "Source").value == LIBRARY
    assert control(editor, "Library").value == "audit"
    html = picture(editor)
    assert "as loaded" in html
    assert "stream trigger" in html
    assert "<pre" not in html


def test_difference_with_the_loaded_version(editor: Editor) -> None:
    write(editor, LIBRARY.replace('"user:"', '"member:"'))
    html = picture(editor)
    assert "edited" in html
    assert (
        '<span class="minus">-redis.registerKeySpaceTrigger(&quot;stamp&quot;' in html
    )
    assert '<span class="plus">+redis.registerKeySpaceTrigger(&quot;stamp&quot;' in html
    click(editor, "Revert")
    assert control(editor, "Source").value == LIBRARY
    assert "as loaded" in picture(editor)


def test_replace(live: trignb.Engine, editor: Editor) -> None:
    write(editor, LIBRARY.replace("deny", "refuse"))
    click(editor, "Load")
    assert "Library audit already exists." in picture(editor)
    assert 'role="alert"' in picture(editor)
    click(editor, "Replace")
    assert "OK  library audit: 2 keyspace triggers (stamp, refuse)" in picture(editor)
    assert "refuse" in live.library_registry.libraries["audit"].triggers
    assert "loaded 2 times" in picture(editor)
    assert "as loaded" in picture(editor)


def test_check_loads_nothing(live: trignb.Engine, editor: Editor) -> None:
    write(editor, OTHER)
    click(editor, "Check")
    assert "OK  library other: 1 function (f); checked, not loaded" in picture(editor)
    assert list(live.library_registry.libraries) == ["audit"]


def test_error_has_its_place(editor: Editor) -> None:
    write(
        editor,
        '#!js api_version=1.0 name=bad\nfunction f() {\n  throw new Error("<b>");\n}\nf();',
    )
    for label in ("Check", "Load", "Replace"):
        click(editor, label)
        html = picture(editor)
        assert "Failed loading library" in html
        assert "3 |   throw new Error(&quot;&lt;b&gt;&quot;);" in html
        assert "called from line 5" in html
    write(editor, "#!js api_version=1.0 name=bad\nlet let")
    assert "Failed loading" not in picture(editor)
    click(editor, "Check")
    assert "SyntaxError" in picture(editor)


def test_new_library_gets_its_name_from_the_text(
    live: trignb.Engine, editor: Editor
) -> None:
    control(editor, "Library").value = "a new library"
    assert control(editor, "Source").value == TEMPLATE
    assert "not loaded" in picture(editor)
    write(editor, OTHER)
    click(editor, "Load")
    assert live.call("other.f") == 1
    assert control(editor, "Library").value == "other"
    control(editor, "Library").value = "audit"
    assert control(editor, "Source").value == LIBRARY


def test_configuration(live: trignb.Engine, editor: Editor) -> None:
    code = (
        "#!js api_version=1.0 name=configured\n"
        'redis.registerFunction("f", () => redis.config.word);'
    )
    live.load(code, config={"word": "one"})
    control(editor, "Library").value = "configured"
    assert control(editor, "Configuration").value == '{"word": "one"}'
    control(editor, "Configuration").value = '{"word": "two"}'
    click(editor, "Replace")
    assert live.call("configured.f") == b"two" or live.call("configured.f") == "two"
    control(editor, "Configuration").value = "nonsense"
    click(editor, "Check")
    assert "configuration must be a valid json" in picture(editor)


def test_follows_a_version_loaded_elsewhere(
    live: trignb.Engine, editor: Editor
) -> None:
    newer = LIBRARY.replace("deny", "refuse")
    live.load(newer, replace=True)
    assert control(editor, "Source").value == newer
    edited = newer + "// mine"
    write(editor, edited)
    live.load(LIBRARY, replace=True)
    assert control(editor, "Source").value == edited
    assert "another version was loaded meanwhile" in picture(editor)


def test_follows_libraries_that_come(live: trignb.Engine, editor: Editor) -> None:
    live.load(OTHER)
    options = control(editor, "Library").options
    assert list(options) == ["audit", "other", "a new library"]


def test_counts_follow(live: trignb.Engine, editor: Editor) -> None:
    live.execute("SET", "orc:1", "1")
    assert "✗ 1" in picture(editor)


def test_delete_asks_once_more(live: trignb.Engine, editor: Editor) -> None:
    click(editor, "Delete")
    assert "audit" in live.library_registry.libraries
    write(editor, LIBRARY + "\n")
    click(editor, "Delete")
    click(editor, "Really delete?")
    assert "audit" not in live.library_registry.libraries
    assert "its text is still here" in picture(editor)
    assert control(editor, "Source").value == LIBRARY + "\n"
    click(editor, "Delete")
    click(editor, "Really delete?")
    assert "library does not exists" in picture(editor)
    click(editor, "Load")
    assert "audit" in live.library_registry.libraries


def test_edit_outlives_the_deletion_of_its_library(
    live: trignb.Engine, editor: Editor
) -> None:
    write(editor, LIBRARY + "// mine")
    live.execute("TFUNCTION", "DELETE", "audit")
    assert control(editor, "Source").value == LIBRARY + "// mine"
    assert "not loaded" in picture(editor)


def test_one_library_by_name(live: trignb.Engine) -> None:
    live.load(OTHER)
    editor = live.editor("other")
    assert editor.code == OTHER
    assert list(editor.df().index) == [("other", "f")]
    assert editor.static() == OTHER
    assert "1  </i>#!js" in editor.static().html
    editor.close()


def test_edits_from_python(live: trignb.Engine, editor: Editor) -> None:
    editor.choose("a new library")
    editor.edit(OTHER)
    editor.load()
    assert control(editor, "Source").value == OTHER
    assert live.call("other.f") == 1


def test_difference_of_very_long_texts_is_not_made() -> None:
    ((kind, line),) = difference("a\n" * 4000, "b\n" * 2000)
    assert (kind, line) == ("hunk", "4,001 lines are loaded, 2,001 are here")


def test_long_difference_is_cut(editor: Editor) -> None:
    write(editor, LIBRARY + "// x\n" * 1000)
    assert "more lines</span>" in picture(editor)
