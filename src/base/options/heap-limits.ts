/** Defaults of limits that follow from the heap of this process. */
import { getHeapStatistics } from 'node:v8';

const KIB = 1024;
const MIB = 1024 * KIB;

/** Where the runtime does not tell its limit. */
const UNKNOWN_HEAP = 1024 * MIB;

/** Bytes that the heap of this process may grow to. */
export function heapLimit(): number {
  const limit = getHeapStatistics().heap_size_limit;
  return Number.isFinite(limit) && limit > 0 ? limit : UNKNOWN_HEAP;
}

/** A live session with a server of a few tools takes about this much at its peak, while it is being opened. */
const SESSION_BYTES = 64 * KIB;
/** A request that runs without a session takes about this much, with the server that is made for it. */
const REQUEST_BYTES = 64 * KIB;

/**
 * A heap of 4 GiB gives 32,768 sessions, 8,192 requests and a budget of 1 GiB; a heap of 256 MiB a sixteenth of that.
 */
export function limitsOfHeap(heap: number) {
  return {
    memoryBytes: Math.floor(heap / 4),
    sessions: Math.floor(heap / 2 / SESSION_BYTES),
    sessionlessRequests: Math.floor(heap / 8 / REQUEST_BYTES),
    eventLogBytes: Math.min(256 * MIB, Math.floor(heap / 8)),
  };
}

/** A connection with its sockets and parsers takes about this much. */
const CONNECTION_BYTES = 16 * KIB;

export function connectionsOf(heap: number): number {
  return Math.max(256, Math.min(65_536, Math.floor(heap / 16 / CONNECTION_BYTES)));
}
