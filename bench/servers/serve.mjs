import { createServer } from 'node:http';
import { Session } from 'node:inspector';
import { monitorEventLoopDelay } from 'node:perf_hooks';

/**
 * Listens on a free port of the loopback and answers the harness's messages: the CPU time of this process and, for
 * `bench/profile.ts`, a CPU profile of the time between two messages. `more`: further messages of one side.
 */
export function serve(handler, more = {}) {
  Object.assign(answers, more);
  const server = createServer(handler);
  server.keepAliveTimeout = 75_000;
  server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }));
}

let session;
const post = (method, params) =>
  new Promise((resolve, reject) =>
    session.post(method, params, (error, result) => (error ? reject(error) : resolve(result))),
  );

let delays;

const answers = {
  cpu: () => process.cpuUsage(),
  memory: () => process.memoryUsage(),
  /** Memory after a few collections; needs --expose-gc. */
  async settledMemory() {
    for (let pass = 0; pass < 4; pass++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      globalThis.gc();
    }
    return process.memoryUsage();
  },
  /** Starts measuring the delays of the event loop. Its timer must run some ms before the measured work. */
  async watch() {
    delays ??= monitorEventLoopDelay({ resolution: 1 });
    delays.enable();
    await new Promise((resolve) => setTimeout(resolve, 50));
    delays.reset();
    return process.cpuUsage();
  },
  /** The delay above the timer's own millisecond, since `watch`. */
  watched() {
    const ms = (ns) => Math.max(0, ns / 1e6 - 1);
    const found = { p50Ms: ms(delays.percentile(50)), p99Ms: ms(delays.percentile(99)), mostMs: ms(delays.max) };
    delays.disable();
    return { ...found, cpu: process.cpuUsage(), peakBytes: process.resourceUsage().maxRSS * 1024 };
  },
  async profileStart({ intervalUs }) {
    session = new Session();
    session.connect();
    await post('Profiler.enable');
    await post('Profiler.setSamplingInterval', { interval: intervalUs });
    await post('Profiler.start');
    return true;
  },
  async profileStop() {
    const { profile } = await post('Profiler.stop');
    session.disconnect();
    return profile;
  },
};

async function answer({ ask, ...params }) {
  process.send({ answer: await answers[ask](params) });
}

process.on('message', (question) => void answer(question));
process.on('disconnect', () => process.exit(0));
