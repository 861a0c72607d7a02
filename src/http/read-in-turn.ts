/**
 * Connections that bring more work in one read than others should wait for: requests without waiting for answers, a
 * body in chunks of a few bytes. Each is paused, and reads on in a later turn of the event loop.
 */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { afterTurn, systemTime } from '../base/system.ts';
import { TURN_MS } from './turn.ts';

/**
 * How `node:http` pauses a connection whose answers are not read. While `_paused` is set it does not read on for the
 * body of a request, and it pauses the parser once that has parsed what was read.
 */
type Paused = Socket & { _paused?: boolean; readonly parser?: { resume?(): void } | null };

const MOST_AT_ONCE = 1_024;
/** So many short chunks of one body take up to a millisecond. */
export const CHUNKS_IN_TURN = 512;

const paused = new Set<Paused>();
/** How many paused connections read on in the next turn: so many that it takes about `TURN_MS`. */
let atOnce = MOST_AT_ONCE;
let turnBegan = 0;
let isDue = false;

/**
 * Reads on in a later turn of the event loop. `node:http` reads more than 2 MB of a connection in one turn, or 10,000
 * requests, and serves no other client in it. What one read has brought, 64 KiB, is parsed in this turn.
 */
export function readInNextTurn(socket: Paused): void {
  const isPlain = !('encrypted' in socket);
  if (isPlain ? socket._paused === true : paused.has(socket)) return;
  // What TLS has decrypted follows all the same, and a parser that is paused takes it for an error.
  if (isPlain) socket._paused = true;
  socket.pause();
  paused.add(socket);
  if (isDue) return;
  isDue = true;
  turnBegan = systemTime.monotonic();
  afterTurn(resumeSome);
}

/** A body that flows comes in many chunks of a few bytes. */
export function readShortChunks(req: IncomingMessage): void {
  // Streams of HTTP/2 take turns by themselves.
  if (req.httpVersionMajor !== 1) return;
  skipBuffer(req);
  readInNextTurn(req.socket);
}

/** What a stream does to buffer a chunk takes longer than the rest of what node does for a few bytes. */
function skipBuffer(req: IncomingMessage): void {
  if (Object.hasOwn(req, 'push') || req.readableLength > 0 || req.readableEncoding !== null) return;
  const flowing: { push?: IncomingMessage['push'] } = req;
  flowing.push = (chunk: unknown): boolean => {
    if (chunk === null || req.readableFlowing !== true) {
      delete flowing.push;
      return req.push(chunk);
    }
    req.emit('data', chunk);
    return true;
  };
}

/**
 * The rest of a body behind its answer. Its chunks may have a few bytes each, so it is dropped in turns. With a
 * `Content-Length` each read of the socket is one chunk.
 */
export function dropInTurns(req: IncomingMessage & { _dump?(): void }): void {
  if (req.complete || req.httpVersionMajor !== 1 || req.headers['transfer-encoding'] === undefined) return;
  let chunks = 0;
  const count = (): void => {
    chunks += 1;
    if (chunks % CHUNKS_IN_TURN === 0) readShortChunks(req);
  };
  if (req.readableFlowing === true) return void req.on('data', count);
  // An adapter, or node when the answer has left. What node drops by itself has no events.
  req.once('resume', () => req.on('data', count));
  req._dump = () => void req.resume();
}

function resumeSome(): void {
  const now = systemTime.monotonic();
  const isLong = now - turnBegan > TURN_MS;
  turnBegan = now;
  atOnce = isLong ? Math.max(1, Math.floor(Math.min(atOnce, paused.size) / 2)) : Math.min(2 * atOnce, MOST_AT_ONCE);
  // A connection that is gone would wait for its turn with all that was parsed of it, which counts nowhere any more.
  for (const socket of paused) if (socket.destroyed) paused.delete(socket);
  for (const socket of [...paused].slice(0, atOnce)) {
    paused.delete(socket);
    socket._paused = false;
    socket.parser?.resume?.();
    socket.resume();
  }
  // A parser that resumes may pause its connection again at once.
  isDue = paused.size > 0;
  if (isDue) afterTurn(resumeSome);
}
