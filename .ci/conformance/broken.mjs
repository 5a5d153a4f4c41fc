// A gateway with a fault, to see that the comparison notices it. Without a fault it must find nothing.
import http from "node:http";
import { once } from "node:events";

export const faults = {
  none: {},
  // No scored scenario sees this one.
  "drops Mcp-Param headers": { request: headers => Object.fromEntries(Object.entries(headers).filter(([k]) => !k.startsWith("mcp-param-"))) },
  "answers errors with 200": { status: code => code >= 400 ? 200 : code },
};

export async function brokenGateway(target, { request = h => h, status = s => s }) {
  const agent = new http.Agent({ keepAlive: true });
  const server = http.createServer((req, res) => {
    const up = http.request(target, { method: req.method, headers: request(req.headers), agent }, answer => {
      res.writeHead(status(answer.statusCode), answer.headers);
      res.flushHeaders();
      answer.pipe(res);
    });
    up.on("error", () => res.destroy());
    res.on("close", () => up.destroy());
    req.pipe(up);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    stop() { agent.destroy(); server.closeAllConnections(); return new Promise(done => server.close(done)); },
  };
}
