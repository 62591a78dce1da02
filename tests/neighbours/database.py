# SPDX-License-Identifier: MIT
"""asyncpg on readyq, over TLS, with a PostgreSQL that is already running: concurrent queries,
bulk rows, a notification, a cancelled query, a connection that the server closes. The arguments are
the port and the certificate of the server.
"""

import asyncio
import ssl
import sys
import warnings

import asyncpg

import readyq


async def square(pool, number):
    async with pool.acquire() as connection:
        return await connection.fetchval("select $1::int * $1::int", number)


async def use_pool(pool):
    squares = await asyncio.gather(*(square(pool, number) for number in range(200)))
    assert squares == [number * number for number in range(200)]


async def use_tables(pool):
    async with pool.acquire() as one:
        await one.execute("create table numbers (n int, text text)")
        rows = [(number, "x" * 200) for number in range(10000)]
        await one.copy_records_to_table("numbers", records=rows)
        assert await one.fetchval("select sum(n) from numbers") == sum(range(10000))
        async with one.transaction():
            assert [row["n"] async for row in one.cursor("select n from numbers order by n")] == [
                *range(10000)
            ]


async def use_notifications(pool):
    heard = asyncio.Queue()
    async with pool.acquire() as one, pool.acquire() as other:

        def hear(*words):
            heard.put_nowait(words[-1])

        await one.add_listener("news", hear)
        await other.execute("select pg_notify('news', 'spring')")
        assert await asyncio.wait_for(heard.get(), 20) == "spring"
        await one.remove_listener("news", hear)


async def use_failures(pool):
    async with pool.acquire() as one:
        try:
            await one.execute("select pg_sleep(60)", timeout=0.1)
        except asyncio.TimeoutError:
            assert await one.fetchval("select 1") == 1
    async with pool.acquire() as one, pool.acquire() as other:
        sleeping = asyncio.ensure_future(one.execute("select pg_sleep(60)"))
        await asyncio.sleep(0.05)
        await other.execute("select pg_terminate_backend($1)", one.get_server_pid())
        try:
            await sleeping
        except (asyncpg.AdminShutdownError, asyncpg.ConnectionDoesNotExistError):
            return
    raise AssertionError("the connection was not cut")


async def main():
    assert isinstance(asyncio.get_running_loop()._selector, readyq.Selector)
    port, certificate = int(sys.argv[1]), sys.argv[2]
    context = ssl.create_default_context(cafile=certificate)
    async with asyncpg.create_pool(
        host="localhost",
        port=port,
        user="tester",
        database="postgres",
        ssl=context,
        min_size=1,
        max_size=5,
    ) as pool:
        assert await pool.fetchval("select ssl from pg_stat_ssl where pid = pg_backend_pid()")
        await use_pool(pool)
        await use_tables(pool)
        await use_notifications(pool)
        await use_failures(pool)
    print("stored")


if sys.version_info < (3, 11):  # its asyncio may not close the TLS transport of a lost connection
    warnings.filterwarnings("ignore", "unclosed transport <asyncio.sslproto", ResourceWarning)
readyq.run(main())
