"""A few threads over a long list, with the main thread free to heartbeat and to notice cancellation."""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

T = TypeVar("T")
_LOOK_SECONDS: Final = 1.0


def for_each(
    items: Iterable[T],
    work: Callable[[T], None],
    *,
    threads: int,
    beats: queue.SimpleQueue[None],
    look: Callable[[bool], None],
) -> None:
    """Work on every item; the list is read as threads become free, so it may be long.

    Args:
        items: What to work on.
        work: Done in a thread of its own. Its first exception stops all threads and is raised here.
        threads: How many.
        beats: Where the work reports that something arrived.
        look: Called here at least once a second, with whether something arrived; may raise, which stops the threads.
    """
    source, guard, stop = iter(items), threading.Lock(), threading.Event()

    def run() -> None:
        try:
            while not stop.is_set():
                with guard:
                    item = next(source, _END)
                if isinstance(item, _End):
                    return
                work(item)
                beats.put(None)
        except BaseException:
            stop.set()
            raise

    with ThreadPoolExecutor(threads, thread_name_prefix="collect") as pool:
        # Each thread needs the activity's context for itself: the log looks into it.
        running = [pool.submit(contextvars.copy_context().run, run) for _ in range(threads)]
        for future in running:
            # Called when the future is done, so that nobody waits for a thread that has just ended.
            future.add_done_callback(lambda _: beats.put(None))
        try:
            while not all(future.done() for future in running):
                look(_drain(beats))
        finally:
            stop.set()
    for future in running:
        future.result()


def _drain(beats: queue.SimpleQueue[None]) -> bool:
    """Wait for a beat for a second, and take those that came with it."""
    try:
        beats.get(timeout=_LOOK_SECONDS)
        while not beats.empty():
            beats.get_nowait()
    except queue.Empty:
        return False
    return True


class _End:
    """Behind the last item."""


_END: Final = _End()
