"""A configuration that changes while it is served."""

from __future__ import annotations

import gc
import os
import signal
import threading
import weakref
from pathlib import Path

import pytest

from mockllm.config.models import Config
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load as load_mocks
from mockllm.engine.loading import load_config
from mockllm.errors import ConfigError
from mockllm.serve.reload import MAX_SHOWN, Reload, Reloader, Watch, freeze_heap, log_state
from mockllm.state.keys import Reloaded
from tests.support.apps import LoneApp
from tests.support.processes import (
    LONG_ANSWER,
    Command,
    ask,
    config,
    connected,
    load,
    needs_proc,
    posix,
    remove,
    running,
    write,
)
from tests.support.served import PATIENCE, Json

pytestmark = pytest.mark.anyio

BROKEN = '{"openai": [{"match": {"mesage": {}}}], "opnai": []}'


# --- Files ----------------------------------------------------------------------------------------


def settled(watch: Watch) -> bool:
    """True once the files have changed and are no longer being written."""
    return [watch.changed(), watch.changed()][1]


def test_a_file_that_stays_has_not_changed(tmp_path: Path) -> None:
    watch = Watch([write(tmp_path / "a.json", "{}"), tmp_path / "absent.json"])
    assert not settled(watch)


def test_a_file_that_is_written_has_changed_once(tmp_path: Path) -> None:
    watch = Watch([write(tmp_path / "a.json", "{}")])
    write(tmp_path / "a.json", "{}")
    assert [watch.changed() for _ in range(4)] == [False, True, False, False]


def test_yaml_files_of_a_directory_are_watched(tmp_path: Path) -> None:
    watch = Watch([tmp_path])
    write(tmp_path / "a.yaml", "{}")
    assert settled(watch)
    write(tmp_path / "notes.txt", "{}")
    assert not settled(watch)


def test_a_file_that_is_being_written_is_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    watch = Watch([write(file, "{}")])
    seen = []
    for length in range(1, 4):
        file.write_text("{" * length)
        seen.append(watch.changed())
    assert [*seen, watch.changed()] == [False, False, False, True]


def test_an_unreadable_path_is_a_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Patched, because root may read everything."""

    def refuse(path: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    write(tmp_path / "a.json", "{}")
    watch = Watch([tmp_path])
    with monkeypatch.context() as patch:
        patch.setattr(Path, "is_dir", refuse)
        assert settled(watch)
        with pytest.raises(ConfigError, match=r"cannot be read: Permission denied"):
            load_config(tmp_path)
    assert settled(watch)


@pytest.mark.parametrize("change", ["add", "remove", "rename", "touch"])
def test_a_directory_changes_with_its_files(tmp_path: Path, change: str) -> None:
    file = write(tmp_path / "a.json", "{}")
    watch = Watch([tmp_path])
    match change:
        case "add":
            write(tmp_path / "b.json", "{}")
        case "remove":
            file.unlink()
        case "rename":
            file.rename(tmp_path / "c.json")
        case "touch":
            os.utime(file, (1, 1))
    assert settled(watch)


def test_other_files_of_a_directory_do_not_matter(tmp_path: Path) -> None:
    watch = Watch([tmp_path])
    (tmp_path / "notes.txt").write_text("nothing")
    assert not settled(watch)


def test_a_file_that_was_missing_for_a_while_has_changed(tmp_path: Path) -> None:
    file = write(tmp_path / "a.json", "{}")
    watch = Watch([file])
    file.unlink()
    assert settled(watch)
    write(file, "{}")
    assert settled(watch)


def test_a_load_for_another_reason_needs_no_second_load(tmp_path: Path) -> None:
    file = write(tmp_path / "a.json", "{}")
    reload = Reload(lambda: None, Watch([file]))
    write(file, "[]")
    reload.run()
    assert not reload.is_due()
    assert not reload.is_due()


# --- Loading --------------------------------------------------------------------------------------


def engine() -> Engine:
    return Engine(load_mocks(Config.from_dict(config())))


def test_a_bug_in_loading_is_logged_only(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> Engine:
        raise LookupError

    assert Reload(fail).run() is None
    (record,) = caplog.records
    assert record.getMessage() == ("reload failed; still serving the previous configuration")
    assert record.exc_info


def test_loads_in_a_thread_when_asked() -> None:
    delivered: list[Engine] = []
    came = threading.Event()
    made = engine()

    def load() -> Engine:
        assert reloader.is_loading
        return made

    def deliver(engine: Engine) -> None:
        assert reloader.is_loading
        reloader.is_loading = False  # as who gets it does
        delivered.append(engine)
        came.set()

    reloader = Reloader(Reload(load), deliver)
    assert not reloader.is_loading
    reloader.start()
    for _ in range(3):
        reloader.ask()
        assert came.wait(PATIENCE)
        came.clear()
    reloader.end()
    reloader.join(PATIENCE)

    assert not reloader.is_alive()
    assert delivered == [made] * 3


def test_nothing_is_loaded_any_more_after_a_failure() -> None:
    def load() -> Engine:
        came.set()
        raise ValueError

    came = threading.Event()
    reloader = Reloader(Reload(load), lambda engine: None)
    reloader.start()
    reloader.ask()
    assert came.wait(PATIENCE)
    reloader.end()
    reloader.join(PATIENCE)

    assert not reloader.is_loading


PLACES = {f"key {number}": f"mocks[{number}]" for number in range(20)}


def told_of_state(caplog: pytest.LogCaptureFixture, reloaded: Reloaded) -> list[str]:
    log_state(reloaded, PLACES)
    return [record.message for record in caplog.records]


def test_mocks_that_begin_anew_are_told(caplog: pytest.LogCaptureFixture) -> None:
    reloaded = Reloaded(kept=("key 0",), begun=("key 1", "key 2"), gone=("old",))

    assert told_of_state(caplog, reloaded) == [
        (
            "new or changed, so these mocks begin with their first answer: mocks[1], mocks[2]; to "
            "keep its place, give a mock a name"
        )
    ]


def test_only_some_of_many_mocks_that_begin_anew_are_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    (told,) = told_of_state(caplog, Reloaded((), tuple(PLACES), ("old",)))

    assert f"mocks[{MAX_SHOWN - 1}] and 10 more;" in told


@pytest.mark.parametrize(
    "reloaded", [Reloaded(("key 1",), ("key 2",), ()), Reloaded(("key 1",), (), ("old",))]
)
def test_nothing_is_told_if_no_mock_begins_anew(
    caplog: pytest.LogCaptureFixture, reloaded: Reloaded
) -> None:
    assert told_of_state(caplog, reloaded) == []


def test_most_of_a_replaced_engine_is_freed_in_parts() -> None:
    mocks = [{"match": {"user": f"question {number}"}, "reply": "x"} for number in range(120)]
    served = Engine(load_mocks(Config.from_dict({"mocks": mocks})))
    known = [weakref.ref(mock) for mock in served.tables[0].mocks]
    app = LoneApp(served)
    parts = served.parts()
    del served
    gc.disable()
    try:
        app.use(engine())
        alive = len(known)
        while parts:
            assert sum(each() is not None for each in known) >= alive - 50
            alive = sum(each() is not None for each in known)
            parts.pop()
        assert [each() for each in known] == [None] * 120
    finally:
        gc.enable()


def test_a_replaced_engine_is_freed() -> None:
    """Without the garbage collector: loaded objects are frozen."""
    loaded = load_mocks(Config.from_dict(config()))
    served = Engine(loaded)
    served.warm()
    app = LoneApp(served)
    mock, replaced = weakref.ref(loaded.tables[0].mocks[0]), weakref.ref(served)
    del loaded, served
    gc.disable()
    try:
        app.use(engine())
        freeze_heap()
        assert (mock(), replaced()) == (None, None)
    finally:
        gc.unfreeze()
        gc.collect()
        gc.freeze()  # what was frozen before
        gc.enable()


def test_loading_leaves_nothing_to_collect() -> None:
    """Garbage that `freeze_heap` freezes would never be freed."""
    engine().warm()  # what is made once for all is made
    gc.collect()
    gc.disable()
    try:
        made = engine()
        made.warm()
        assert gc.collect() == 0
        del made
        assert gc.collect() == 0
    finally:
        gc.enable()


# --- The command ----------------------------------------------------------------------------------

WORKERS = pytest.mark.parametrize("workers", [1, 2])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "mocks.json", config("old", large=True))


async def changed(command: Command, answer: str) -> None:
    """Wait until every worker answers so."""
    same = 0
    while same < 20:
        same = same + 1 if (await ask(command.port)).text == answer else 0


@posix
@needs_proc
@WORKERS
async def test_sighup_swaps_the_configuration_and_no_request_fails(
    file: Path, workers: int
) -> None:
    with running("--config", file, "--port=0", f"--workers={workers}") as command:
        before = command.workers()
        async with load(command.port) as constant:
            for answer in ("new", "newer", "newest"):
                write(file, config(answer))
                command.signal(signal.SIGHUP)
                while answer not in constant.answers:
                    await constant.more(1)
            await changed(command, "newest")
        after = command.workers()

    assert constant.failures == []
    assert list(constant.answers) == ["old", "new", "newer", "newest"]
    assert len(command.told("mockllm: reloaded: openai: 1")) == 3
    assert workers == 1 or not set(before) & set(after)


@posix
async def test_a_script_goes_on_at_a_reload_and_a_changed_one_begins_anew(file: Path) -> None:
    def scripted(*answers: str) -> Json:
        script = {"sequence": list(answers)}
        return {"mocks": [{"match": {"user": "other"}, **script}, {"name": "plot", **script}]}

    write(file, scripted("one", "two"))
    with running("--config", file, "--port=0") as command:
        before = (await ask(command.port)).text
        write(file, scripted("one", "three"))
        command.signal(signal.SIGHUP)
        (told,) = command.told("these mocks begin with their first answer")
        after = (await ask(command.port)).text

    assert (before, after) == ("one", "three")
    assert "mocks[0];" in told
    assert "plot" not in told


@posix
@WORKERS
async def test_a_change_of_the_files_swaps_the_configuration(file: Path, workers: int) -> None:
    with running("--config", file, "--port=0", f"--workers={workers}", "--reload") as command:
        async with load(command.port) as constant:
            write(file, config("new"))
            while "new" not in constant.answers:
                await constant.more(1)

    assert constant.failures == []


@posix
@WORKERS
async def test_a_bad_file_is_reported_and_the_old_configuration_stays(
    file: Path, workers: int
) -> None:
    with running("--config", file, "--port=0", f"--workers={workers}", "--reload") as command:
        for times, bad in enumerate(["{", BROKEN], 1):
            write(file, bad)
            command.told("reload failed; still serving the previous configuration", times)
            assert (await ask(command.port)).text == "old"
        errors = command.told("error: ")
        remove(file)
        command.told("cannot be read: No such file or directory")
        write(file, config("new"))
        command.told("mockllm: reloaded")
        await changed(command, "new")

    assert [line.partition("mocks.json: ")[2].partition(":")[0] for line in errors] == [
        "is not JSON",
        "openai[0]",
        "openai[0]",
        "opnai",
    ]


@posix
@WORKERS
async def test_requests_in_flight_keep_their_configuration(file: Path, workers: int) -> None:
    with running("--config", file, "--port=0", f"--workers={workers}") as command:
        async with connected(command.port) as slow:
            head = await slow.begin()
            write(file, config("new"))
            command.signal(signal.SIGHUP)
            await changed(command, "new")
            answer = await slow.body(head)

    assert answer.text == LONG_ANSWER
