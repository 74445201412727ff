"""Sessions that run as long as a test looks at them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cellkeeper.runtime.session import Session
from cellkeeper.testing.patience import until


@asynccontextmanager
async def linked(*sessions: Session) -> AsyncIterator[None]:
    """Run sessions with all of them linked to their broker; end them afterwards."""
    tasks = [asyncio.create_task(session.run()) for session in sessions]
    try:
        await until(lambda: all(session.is_up for session in sessions))
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
