import { createServer } from 'node:http';

// BENCH_FRONT: `express` puts Express, which reads the bodies, before the handler.
const express =
  process.env.BENCH_FRONT === 'express' ? (await import('express')).default : undefined;

/** Listens on a free port of the loopback and answers the harness's questions about this process. */
export function serve(handler, more = {}) {
  const answers = { cpu: () => process.cpuUsage(), memory, ...more };
  process.on('message', ({ ask }) => void answer(ask));
  const answer = async (ask) => process.send({ answer: await answers[ask]() });
  // A profile of `--cpu-prof` is written then.
  process.on('disconnect', () => process.exit(0));
  const server = createServer(express?.().use(express.json()).all('/mcp', handler) ?? handler);
  server.keepAliveTimeout = 75_000;
  server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }));
}

/** Memory after a few collections; needs --expose-gc. */
async function memory() {
  for (let pass = 0; pass < 4; pass++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    globalThis.gc();
  }
  return process.memoryUsage();
}
