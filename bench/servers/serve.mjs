import { createServer } from 'node:http';
import { Session } from 'node:inspector';

/**
 * Listens on a free port of the loopback and answers the harness's questions: what CPU time this process has used,
 * and, for `bench/profile.ts`, a CPU profile of the time between two messages.
 */
export function serve(handler) {
  const server = createServer(handler);
  server.keepAliveTimeout = 75_000;
  server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }));
}

let session;
const post = (method, params) =>
  new Promise((resolve, reject) =>
    session.post(method, params, (error, result) => (error ? reject(error) : resolve(result))),
  );

const answers = {
  cpu: () => process.cpuUsage(),
  memory() {
    // With --expose-gc: what is kept, and not what has not been collected yet.
    for (let n = 0; n < 2; n++) globalThis.gc?.();
    return process.memoryUsage();
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
