"""The tokens of the admin listener, on a bridge as an operator runs it."""

import signal
from pathlib import Path

import aiohttp
from tests.bootstrap.running import bridge, configure

FIRST, SECOND = "the-first-token-of-all", "the-second-token-of-all"


def configured(directory: Path, token: str, level: str = "info") -> Path:
    path = configure(directory)
    text = path.read_text().replace("[admin]\n", f'[admin]\ntoken = "{token}"\n')
    path.write_text(f'{text}\n[log]\nlevel = "{level}"\n')
    return path


async def test_whoever_signed_in_signs_in_again_once_the_tokens_have_changed(tmp_path: Path) -> None:
    statuses = []
    async with (
        bridge(configured(tmp_path, FIRST)) as process,
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser,
    ):
        pages = f"http://{process.admin}"
        await browser.post(f"{pages}/sign-in", data={"token": FIRST, "next": "/"})

        async def look() -> int:
            async with browser.get(f"{pages}/calls", allow_redirects=False) as answer:
                return answer.status

        statuses.append(await look())
        for number, changes in enumerate(((FIRST, "debug"), (SECOND, "debug")), 1):
            configured(tmp_path, *changes)
            process.send(signal.SIGHUP)
            await process.until("configuration reloaded", number)
            statuses.append(await look())

    assert [200, 200, 303] == statuses
