// What a program that uses node-redis does, with the library's defaults and with RESP2: node node_redis.cjs PORT.

const assert = require("node:assert/strict");
const { createClient } = require("redis");
const { version } = require("redis/package.json");

const url = `redis://127.0.0.1:${process.argv[2]}`;

async function use(options, protocol) {
    const client = createClient({ url, ...options });
    await client.connect();
    assert.equal(await client.ping(), "PONG");
    assert.equal(await client.flushAll(), "OK");
    const info = String(await client.sendCommand(["CLIENT", "INFO"]));
    assert.match(info, new RegExp(` resp=${protocol} lib-name=node-redis lib-ver=\\d`));
    assert.equal(await client.set("greeting", "hello world", { expiration: { type: "EX", value: 60 } }), "OK");
    assert.equal(await client.get("greeting"), "hello world");
    assert.ok((await client.ttl("greeting")) >= 58);
    assert.equal(await client.get("nope"), null);
    assert.equal(await client.set("greeting", "hi", { condition: "NX" }), null);
    assert.equal(await client.set("greeting", "hi", { condition: "XX", GET: true }), "hello world");
    assert.equal(await client.mSet({ a: "1", b: "caf\u00e9" }), "OK");
    assert.deepEqual(await client.mGet(["a", "nope", "b"]), ["1", null, "caf\u00e9"]);
    assert.equal(await client.incrBy("a", 41), 42);
    assert.equal(await client.exists(["a", "b", "nope"]), 2);
    assert.equal(await client.expire("a", 10), 1);
    assert.equal(await client.persist("a"), 1);
    assert.deepEqual({ ...(await client.configGet("save")) }, { save: "" });
    assert.ok((await client.commandCount()) > 20);
    assert.ok((await client.clientId()) > 0);
    assert.match(String(await client.info("keyspace")), /db0:keys=3/);
    assert.equal(await client.dbSize(), 3);
    // Sent together, as everything is that one turn of the event loop asks for.
    const numbers = Array.from({ length: 1000 }, (_, number) => number);
    await Promise.all(numbers.map((number) => client.set(`key:${number}`, String(number))));
    const values = await Promise.all(numbers.map((number) => client.get(`key:${number}`)));
    assert.deepEqual(values, numbers.map(String));
    await assert.rejects(client.sendCommand(["NOSUCH"]), /unknown command 'NOSUCH'/);
    await client.close();
}

async function main() {
    await use({}, 3);
    await use({ RESP: 2 }, 2);
    const named = createClient({ url, username: "default", password: "any", name: "me", database: 0 });
    await named.connect();
    assert.equal(await named.clientGetName(), "me");
    await named.close();
    const socket = { reconnectStrategy: false };
    const stranger = createClient({ url, socket, username: "nobody", password: "any" });
    stranger.on("error", () => {});
    await assert.rejects(stranger.connect(), /WRONGPASS/);
    stranger.destroy();
    console.log(`node-redis ${version} is content`);
}

main().catch((error) => {
    console.error(error);
    process.exit(1);
});
