import pytest
from tests.admin.running import Desk

from tms_bridge.settings.model import Admin

TOKEN = "let-me-in"
EVERYWHERE = "0.0.0.0:0"


@pytest.mark.parametrize(
    ("admin", "headers", "status"),
    [
        (Admin(token=TOKEN), {"Authorization": f"Bearer {TOKEN}"}, 200),
        (Admin(token=TOKEN), {"Authorization": f"bearer {TOKEN}"}, 200),
        (Admin(token=TOKEN), {}, 401),
        (Admin(token=TOKEN), {"Authorization": "Bearer let-me-im"}, 401),
        (Admin(token=TOKEN), {"Authorization": f"Basic {TOKEN}"}, 401),
        (Admin(token=TOKEN), {"Authorization": "Bearer \udcff"}, 401),
        (Admin(token=TOKEN, listen=EVERYWHERE), {"Authorization": f"Bearer {TOKEN}"}, 200),
        (Admin(), {}, 200),
        (Admin(), {"Host": "localhost:8081", "Origin": "http://localhost:8081"}, 200),
        (Admin(), {"Host": "[::1]:8081"}, 200),
        (Admin(), {"Host": "rebound.example"}, 403),
        (Admin(), {"Origin": "https://evil.example"}, 403),
        (Admin(), {"Host": "[::zz"}, 403),
        (Admin(), {"Host": "localhost", "Origin": "http://[::zz"}, 403),
        (Admin(listen=EVERYWHERE), {}, 403),
        (Admin(listen=("127.0.0.1:0", ":0")), {}, 403),
    ],
)
async def test_the_api_is_for_those_who_may(
    desk: Desk, admin: Admin, headers: dict[str, str], status: int
) -> None:
    async with desk.client(admin) as client, client.get("/api/v1/status", headers=headers) as answer:
        assert answer.status == status
        assert (answer.headers.get("WWW-Authenticate") is not None) == (status == 401)


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/startupz", "/metrics"])
async def test_probes_and_metrics_need_no_token(desk: Desk, path: str) -> None:
    async with desk.client(Admin(token=TOKEN, listen=EVERYWHERE)) as client, client.get(path) as answer:
        assert answer.status == 200


async def test_the_description_needs_the_token_too(desk: Desk) -> None:
    async with desk.client(Admin(token=TOKEN)) as client, client.get("/api/v1/openapi.json") as answer:
        assert answer.status == 401
