// A WebSocket server made with the library `ws`: `node ws_peer.mjs LOG FOLDER`.
//
// FOLDER has the certificates; the ports are printed as JSON by the certificate that is shown there, `plain` without
// one. What it does beyond noting everything is in the query: push=N and binary=BYTES on connecting, ping=N;
// hold=N answers N requests together, the last first; fragments=N cuts answers; close=CODE with reason=TEXT, or
// terminate=1, at the first message; mute=1 answers nothing. Each line of LOG says what was seen, as JSON.

import { createHash } from "node:crypto";
import { openSync, readFileSync, writeSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { WebSocketServer } from "ws";

const [logPath, folder] = process.argv.slice(2);
const log = openSync(logPath, "a");
const note = (entry) => writeSync(log, JSON.stringify(entry) + "\n");

const LIMIT_BYTES = 1024 * 1024;
const server = new WebSocketServer({
  noServer: true,
  maxPayload: LIMIT_BYTES,
  perMessageDeflate: true,
  handleProtocols: (offered) => [...offered].at(-1),
});

function reply(socket, text, parts) {
  if (!parts) return socket.send(text);
  const length = Math.ceil(text.length / parts);
  for (let at = 0; at < text.length; at += length) {
    socket.send(text.slice(at, at + length), { fin: at + length >= text.length });
  }
}

function serve(socket, request) {
  const url = new URL(request.url, "ws://peer");
  const place = url.pathname;
  const asked = (name) => Number(url.searchParams.get(name) ?? 0);
  const push = (fields) => socket.send(JSON.stringify({ type: place.slice(1), ...fields }));
  const held = [];
  let pings = 0;
  let pongs = 0;
  note({
    opened: place,
    query: url.search,
    headers: request.headers,
    subprotocol: socket.protocol,
    extensions: socket.extensions,
  });
  socket.on("error", (error) => note({ error: error.code ?? error.message, place }));
  socket.on("close", (code, reason) => note({ closed: code, reason: reason.toString(), place }));
  socket.on("ping", (data) => {
    note({ ping: data.toString("hex"), place });
    if (++pings === 5) push({ pings });
  });
  socket.on("pong", (data) => {
    note({ pong: data.toString(), place });
    if (++pongs === asked("ping")) push({ pongs });
  });
  socket.on("message", (data, isBinary) => {
    const sha1 = createHash("sha1").update(data).digest("hex");
    const body = !isBinary && data[0] === 0x7b ? JSON.parse(data) : {};
    note({ seen: data.length, isBinary, sha1, id: body.correlation_id, place });
    if (asked("terminate")) return socket.terminate();
    if (url.searchParams.has("close")) {
      return asked("close") ? socket.close(asked("close"), url.searchParams.get("reason")) : socket.close();
    }
    if (!body.correlation_id || asked("mute")) return;
    held.push(JSON.stringify({ ...body, type: "reply" }));
    if (held.length >= asked("hold")) {
      for (const text of held.splice(0).reverse()) reply(socket, text, asked("fragments"));
    }
  });
  for (let number = 1; number <= asked("push"); number++) push({ number });
  for (let number = 1; number <= asked("ping"); number++) socket.ping(`ping ${number}`);
  if (asked("binary")) socket.send(Buffer.alloc(asked("binary"), "\x00\xff\x7f"));
}

function upgrade(request, socket, head) {
  const refused = /^\/refuse\/(\d+)/.exec(request.url);
  if (refused) {
    note({ refused: Number(refused[1]) });
    return socket.end(`HTTP/1.1 ${refused[1]} No\r\nContent-Length: 6\r\nConnection: close\r\n\r\nsecret`);
  }
  server.handleUpgrade(request, socket, head, serve);
}

const servers = { plain: createServer() };
for (const name of ["localhost", "elsewhere", "self_signed"]) {
  const pem = readFileSync(`${folder}/${name}.pem`);
  servers[name] = createTlsServer({ key: pem, cert: pem });
  servers[name].on("tlsClientError", (error) => note({ tlsRefused: name, code: error.code }));
}
const ports = {};
for (const [name, one] of Object.entries(servers)) {
  one.on("upgrade", upgrade);
  await new Promise((resolve) => one.listen(0, "127.0.0.1", 4096, resolve));
  ports[name] = one.address().port;
}
console.log(JSON.stringify(ports));
