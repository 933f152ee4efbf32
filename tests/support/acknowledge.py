"""A program that publishes to the file in its argument until it is killed, and prints acknowledged events."""

from __future__ import annotations

import asyncio
import sys

from statushub.hub.brokers import open_broker
from tests.support.publications import accepted, update

PUBLISHERS = 8
TENANTS = 3


async def main(url: str) -> None:
    async with open_broker(url) as broker, asyncio.TaskGroup() as group:

        async def publish(publisher: int) -> None:
            tenant = f"tenant{publisher % TENANTS}"
            for n in range(1_000_000):
                content_id = f"{publisher}.{n}"
                cursor = await accepted(broker, tenant, update(content_id))
                print(tenant, content_id, cursor, flush=True)

        for publisher in range(PUBLISHERS):
            group.create_task(publish(publisher))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
