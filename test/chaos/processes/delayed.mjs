/**
 * A fault proxy as a process: `node delayed.mjs TARGET_PORT`. It says `{ port }`, and takes `{ delayMs }` as a message.
 * The delay does not grow with the work of the processes on both sides.
 */
import { register } from 'tsx/esm/api';

register();
const { createFaultProxy } = await import('../../kit/fault-proxy.ts');

const proxy = await createFaultProxy({ port: Number(process.argv[2]) });
process.on('message', ({ delayMs }) => {
  proxy.delay(delayMs);
  process.send({ delayMs });
});
process.once('disconnect', () => process.exit(0));
process.send({ port: proxy.port });
