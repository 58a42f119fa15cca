"""Who may talk to the page, and how much they may send."""

import asyncio

import pytest

from blindsr_jax.demo.guard import SMALL_BODY, Guard

MOST, QUOTA = 10_000, 25_000


class _Page:
    """The application behind the guard. It reads the body and answers 200."""

    def __init__(self):
        self.read = 0

    async def __call__(self, scope, receive, send):
        while (message := await receive())["type"] == "http.request":
            self.read += len(message["body"])
            if not message.get("more_body"):
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})


def _ask(folder, *, method="GET", path="/", headers=(), body=b"", kind="http"):
    """The status and the text of an answer, and what the page has read."""
    page, sent, parts = _Page(), [], [body[i : i + 4096] for i in range(0, len(body), 4096)] or [b""]
    guard = Guard(page, hosts=["demo.example"], cache=folder, most_bytes=MOST, quota=QUOTA)

    async def receive():
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def send(message):
        sent.append(message)

    given = {"host": "127.0.0.1:7860"} | dict(headers)
    given = [(name.encode(), value.encode()) for name, value in given.items()]
    asyncio.run(guard({"type": kind, "method": method, "path": path, "headers": given}, receive, send))
    return sent[0].get("status", sent[0].get("code")), b"".join(x.get("body", b"") for x in sent).decode(), page.read


@pytest.mark.parametrize(
    "host", ["127.0.0.1:7860", "localhost:7860", "LOCALHOST", "[::1]:7860", "192.168.1.5", "demo.example"]
)
def test_names_of_this_machine_are_answered(tmp_path, host):
    assert _ask(tmp_path, headers={"host": host})[0] == 200
    own = {"host": host, "origin": f"http://{host.lower()}", "sec-fetch-site": "same-origin"}
    assert _ask(tmp_path, method="POST", headers=own)[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:7860", "127.0.0.1.evil.example", "", "["])
def test_another_name_is_refused(tmp_path, host):
    """With DNS rebinding, a foreign page reaches this machine by its own name."""
    status, text, _ = _ask(tmp_path, headers={"host": host})
    assert status == 403 and "--allow-host" in text


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "http://127.0.0.1:8000"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_another_site_is_refused(tmp_path, headers, method):
    assert _ask(tmp_path, method=method, path="/gradio_api/upload", headers=headers)[0] == 403
    assert _ask(tmp_path, headers=headers, kind="websocket")[0] == 1008


def test_a_link_on_another_site_may_lead_here(tmp_path):
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert _ask(tmp_path, headers=link)[0] == 200
    assert _ask(tmp_path, method="POST", headers=link)[0] == 403


def test_a_proxy_with_an_allowed_name_is_answered(tmp_path):
    assert _ask(tmp_path, method="POST", headers={"origin": "https://demo.example"})[0] == 200


def test_bodies_have_limits(tmp_path):
    upload = {"method": "POST", "path": "/gradio_api/upload"}
    assert _ask(tmp_path, **upload, headers={"content-length": str(MOST)})[0] == 200
    for length in (str(MOST + 2**17), "-1", "1e3", "9" * 30):
        assert _ask(tmp_path, **upload, headers={"content-length": length})[0] == 413
    assert _ask(tmp_path, **upload, headers={"transfer-encoding": "chunked"})[0] == 413
    assert _ask(tmp_path, method="POST", path="/queue/join", headers={"content-length": str(SMALL_BODY + 1)})[0] == 413


def test_a_body_longer_than_declared_is_cut_off(tmp_path):
    *_, read = _ask(tmp_path, method="POST", path="/upload", headers={"content-length": "5000"}, body=bytes(300_000))
    assert read <= 5000


def test_uploads_share_a_quota(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "a.png").write_bytes(bytes(QUOTA - 5000))
    upload = {"method": "POST", "path": "/gradio_api/upload"}
    assert _ask(tmp_path, **upload, headers={"content-length": "4000"})[0] == 200
    status, text, _ = _ask(tmp_path, **upload, headers={"content-length": "6000"})
    assert status == 507 and "try again" in text
