"""A progress bar for work that reports its share done."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm


@contextmanager
def progress_bar() -> Iterator[Callable[[float, str], None]]:
    """Shows a bar on stderr; call what it gives with the share done (0…1) and a few words."""
    layout = "{desc:<32} {percentage:3.0f} % |{bar}| {elapsed}, {remaining} left"
    # No smoothing: parts of unlike length are better foretold by all the time spent so far.
    with tqdm(total=100, bar_format=layout, smoothing=0) as bar:

        def report(share: float, what: str) -> None:
            bar.set_description_str(what, refresh=False)
            bar.update(100 * share - bar.n)

        yield report
