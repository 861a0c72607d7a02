import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';

/**
 * The system gives `listen(0)` and connections of clients ports from 32768 on (Linux; elsewhere from 49152 on). So the
 * port of a server that is killed, and the port that a program is to listen at later, stay free. `fetch` refuses 10080.
 */
const [FIRST, END] = [11_000, 32_768];
/** Each worker of a test run draws from a range of its own. Wide ones are rarely drawn from by two runs at once. */
const RANGES = 4;
const SIZE = Math.floor((END - FIRST) / RANGES);

const begin = FIRST + (Number(process.env['VITEST_POOL_ID'] ?? 0) % RANGES) * SIZE;
/** Another test run on this machine, or the file before, may have drawn from the same range. */
let next = randomInt(SIZE);

/** A port of this machine where nothing listened a moment ago, and which this process was not given before. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < SIZE; tries++) {
    const port = begin + (next++ % SIZE);
    if (await isFree(port)) return port;
  }
  throw new Error(`no port from ${begin} to ${begin + SIZE - 1} is free`);
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return false;
    throw error;
  }
  server.close();
  await once(server, 'close');
  return true;
}
