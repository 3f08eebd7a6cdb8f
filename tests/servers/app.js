// What node serves.
"use strict";
const big = require("fs").readFileSync("/servers/big");

let ending = false;

function answer(response, body) {
  // Its end would wait for clients that are never idle.
  if (ending) response.setHeader("Connection", "close");
  response.writeHead(200, { "Content-Length": body.length, "X-Release": process.env.RELEASE });
  response.end(body);
}

const server = require("http").createServer((request, response) => {
  switch (request.url) {
    case "/ping":
      return answer(response, "pong\n");
    case "/big":
      return answer(response, big);
    case "/slow":
      return setTimeout(answer, 1500, response, big);
    case "/echo": {
      const parts = [];
      request.on("data", (part) => parts.push(part));
      return request.on("end", () => answer(response, Buffer.concat(parts)));
    }
    default:
      response.writeHead(404, { "Content-Length": 0 });
      response.end();
  }
});
// Longer than its clients keep a connection, as behind every load balancer.
server.keepAliveTimeout = 75000;
server.listen(8000);
// Node as a container's first process would ignore it.
process.on("SIGTERM", () => {
  ending = true;
  server.close(() => process.exit(0));
  if (server.closeIdleConnections) server.closeIdleConnections();
});
