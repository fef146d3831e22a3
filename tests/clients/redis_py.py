"""What a program that uses redis-py does, with the library's defaults and with RESP2: python3 redis_py.py PORT."""

import sys

import redis

port = int(sys.argv[1])


def use(client, protocol):
    assert client.ping() is True
    assert client.flushall() is True
    info = client.client_info()
    assert info["resp"] == protocol, info
    assert info["lib-name"].startswith("redis-py") and info["lib-ver"], info
    assert client.set("greeting", "hello world", ex=60) is True
    assert client.get("greeting") == b"hello world"
    assert 58 <= client.ttl("greeting") <= 60
    assert client.get("nope") is None
    assert client.set("greeting", "hi", nx=True) is None
    assert client.set("greeting", "hi", xx=True, get=True, keepttl=True) == b"hello world"
    assert client.mset({"a": 1, "b": b"\xff\r\n"}) is True
    assert client.mget("a", "nope", "b") == [b"1", None, b"\xff\r\n"]
    assert client.incr("a", 41) == 42 and client.decr("a") == 41
    assert client.exists("a", "b", "nope") == 2
    assert client.expire("a", 10) is True and client.persist("a") is True
    assert client.config_get("save") == {"save": ""}
    assert client.info("keyspace")["db0"]["keys"] == 3
    assert client.command_count() > 20
    assert client.command()["get"]["arity"] == 2
    assert client.dbsize() == 3 and client.delete("a", "b", "nope") == 2
    with client.pipeline(transaction=False) as pipeline:
        for number in range(1000):
            pipeline.set(f"key:{number}", number)
            pipeline.get(f"key:{number}")
        answers = pipeline.execute()
    assert answers[:4] == [True, b"0", True, b"1"] and len(answers) == 2000
    try:
        client.execute_command("NOSUCH", "a")
        raise AssertionError("an unknown command is no error")
    except redis.ResponseError as error:
        assert "unknown command 'NOSUCH'" in str(error), error
    client.close()


use(redis.Redis(port=port), "3")
use(redis.Redis(port=port, protocol=2), "2")
use(redis.Redis(port=port, db=0, username="default", password="any", health_check_interval=1), "3")
named = redis.Redis.from_url(f"redis://default:any@127.0.0.1:{port}/0", client_name="me", decode_responses=True)
assert named.client_getname() == "me" and named.client_id() > 0
assert named.set("text", "caf\u00e9") is True and named.get("text") == "caf\u00e9"
try:
    redis.Redis(port=port, username="nobody", password="any").ping()
    raise AssertionError("there is no such user")
except redis.AuthenticationError:
    pass
print(f"redis-py {redis.__version__} is content")
