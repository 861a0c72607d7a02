/**
 * Loaded before every test file. Fails the file when a server, socket, timer or child process is still open after its
 * last hook.
 */
import { ChildProcess } from 'node:child_process';
import { Server, Socket } from 'node:net';
import { afterAll } from 'vitest';

/**
 * Resources that tests open on purpose. The worker's own streams, file reads and similar ones open and close by
 * themselves.
 */
const WATCHED = new Set([
  'TCPServerWrap',
  'TCPSocketWrap',
  'PipeServerWrap',
  'Timeout',
  'Immediate',
  'ProcessWrap',
  'UDPWrap',
  'Worker',
]);
/**
 * A closing socket needs a few turns, and on a busy machine some seconds; a leak stays. Looks are counted, too: a pause
 * of the whole machine is one.
 */
const GRACE_MS = 3_000;
const PAUSE_MS = 10;
const LOOKS = 50;

const before = openResources();

afterAll(async () => {
  const deadline = performance.now() + GRACE_MS;
  let left = leftOver();
  for (let looks = 0; left.size > 0 && (looks < LOOKS || performance.now() < deadline); looks++) {
    await new Promise((done) => setTimeout(done, PAUSE_MS));
    left = leftOver();
  }
  if (left.size === 0) return;
  const kinds = [...left].map(([kind, count]) => `${count} × ${kind}`).join(', ');
  throw new Error(`left open after the last test: ${kinds}\n${describeHandles().join('\n')}`);
});

function openResources(): Map<string, number> {
  const counts = new Map<string, number>();
  for (const kind of process.getActiveResourcesInfo()) {
    if (WATCHED.has(kind)) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return counts;
}

function leftOver(): Map<string, number> {
  const more = [...openResources()].map(([kind, count]): [string, number] => [
    kind,
    count - (before.get(kind) ?? 0),
  ]);
  return new Map(more.filter(([, count]) => count > 0));
}

/** Addresses and process ids of what is open. */
function describeHandles(): string[] {
  const { _getActiveHandles } = process as unknown as { _getActiveHandles(): unknown[] };
  return _getActiveHandles.call(process).flatMap((handle) => {
    if (handle instanceof Server) return [`  server on ${JSON.stringify(handle.address())}`];
    if (handle instanceof ChildProcess)
      return [`  child process ${handle.pid}: ${handle.spawnargs.join(' ')}`];
    if (handle instanceof Socket && handle.remotePort)
      return [`  socket ${handle.localPort} → ${handle.remotePort}`];
    return [];
  });
}
