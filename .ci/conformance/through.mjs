// The client that the suite is told to start: the Go SDK's, with mcpx hub between it and the suite's own server.
//
//   node through.mjs URL       with CONFORMANCE_MCPX, CONFORMANCE_CLIENT and CONFORMANCE_WORK in the environment
import { mkdtempSync } from "node:fs";
import { run } from "../peers/setting.mjs";
import { hub } from "./programs.mjs";

const { CONFORMANCE_MCPX: mcpx, CONFORMANCE_CLIENT: client, CONFORMANCE_WORK: work } = process.env;
const gateway = await hub(mcpx, { work: mkdtempSync(work + "/hub-"), variables: { MOCK_URL: process.argv.at(-1) } });
const result = await run([client, gateway.url + "mock"], { env: process.env, timeout: 14000 });
process.stdout.write(result.out);
process.stderr.write(result.err);
const orderly = await gateway.stop();
if (result.exit !== 0 || !orderly) process.stderr.write(`client: exit ${result.exit}; hub: ${orderly ? "ended" : "had to be killed"}\n${gateway.log}`);
process.exit(result.exit === 0 && orderly ? 0 : 1);
