// @module-tag matrix
/**
 * Clients that send much and leave at once, while their handlers run or the store is away. A handler holds what it got
 * until it settles, so that counts in the memory budget until then, and a process with a heap of 256 MB survives.
 */
import { connect } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createFaultProxy } from '../kit/fault-proxy.ts';
import { describeWithServer } from '../kit/servers/index.ts';
import { envelope, mirrored } from '../kit/modern.ts';
import { until } from '../kit/until.ts';
import { rawRequest } from './aborts.ts';
import { Caller, startSmallHeap, times, underAttack } from './small-heap.ts';

const MIB = 1024 * 1024;
const PADDING = 'y'.repeat(3.5 * MIB);
const USER = { 'x-user': 'attacker' };
const SESSIONS = 6;
/** Fewer than a session may run. */
const CALLS_PER_SESSION = 16;
/** Longer than all of them take to arrive. */
const HANDLER_MS = 12_000;
const ROOM_MS = 60_000;

/** Sends a whole request, and disconnects. */
function sendAndLeave(port: number, bytes: string): Promise<void> {
  return new Promise((left) => {
    const socket = connect(port, '127.0.0.1', () => socket.end(bytes));
    socket
      .on('error', () => {})
      .on('close', () => left())
      .resume();
  });
}

type Send = (n: number) => string;

/** Opens sessions for these messages. Each has another id. */
async function onSessions(port: number, message: (id: number) => object): Promise<Send> {
  const ids = await times(SESSIONS, 1, () => new Caller(port, 'attacker', 1).open());
  return (n) => {
    const session = { 'mcp-session-id': ids[n % SESSIONS] ?? '', 'mcp-protocol-version': '2025-11-25' };
    return rawRequest('POST', { ...USER, ...session }, message(1_000 + n));
  };
}

const call = (ms: number) => (id: number) => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name: 'wait', arguments: { ms, padding: PADDING } },
});

const notification = () => ({
  jsonrpc: '2.0',
  method: 'notifications/roots/list_changed',
  params: { _meta: { padding: PADDING } },
});

/** The whole budget of a process of 256 MB is free when this many bodies of 4 MB fit. */
async function expectRoom(port: number): Promise<void> {
  const late = new Caller(port, 'late', 1);
  await late.open();
  const fits = async () => (await late.rpc('ping', { padding: 'x'.repeat(3 * MIB) })).status === 200;
  await until(fits, { timeoutMs: ROOM_MS, pollMs: 500 });
}

const MODERN_META = { _meta: envelope() };

const ATTACKS: Readonly<Record<string, (port: number) => Promise<Send>>> = {
  'calls of sessions': (port) => onSessions(port, call(HANDLER_MS)),
  '2026-07-28 calls whose handlers ignore the end': async () => (id) => {
    const params = { name: 'wait', arguments: { ms: HANDLER_MS, padding: PADDING }, ...MODERN_META };
    const headers = { ...USER, ...(mirrored('tools/call', params) as Record<string, string>) };
    return rawRequest('POST', headers, { jsonrpc: '2.0', id, method: 'tools/call', params });
  },
  'notifications of sessions': (port) => onSessions(port, notification),
};

describe('a process with a small heap survives large', () => {
  test.each(Object.keys(ATTACKS))('%s, whose clients leave', { timeout: 180_000 }, async (name) => {
    const server = await startSmallHeap();
    await underAttack(server, async () => {
      const send = (await ATTACKS[name]?.(server.port)) as Send;
      await times(SESSIONS * CALLS_PER_SESSION, 8, (n) => sendAndLeave(server.port, send(n)));
    });
    await expectRoom(server.port);
  });
});

describeWithServer('redis', 'a process with a small heap on Redis', (redis) => {
  test('survives large calls that are left while the store is away', { timeout: 180_000 }, async () => {
    const proxy = await createFaultProxy({ port: redis().port });
    onTestFinished(() => proxy.close());
    // The lease is valid for some of the calls, and has run out for the others.
    const store = redis().url.replace(`:${redis().port}`, `:${proxy.port}`);
    const server = await startSmallHeap({ leaseMs: 4_000, waitMs: 60_000 }, store);
    await underAttack(server, async () => {
      const send = await onSessions(server.port, call(0));
      proxy.refuse(true);
      proxy.cutAll();
      await times(SESSIONS * CALLS_PER_SESSION, 8, (n) => sendAndLeave(server.port, send(n)));
      const began = performance.now();
      await until(() => performance.now() - began > 6_000, { timeoutMs: 20_000 });
      proxy.heal();
    });
    await expectRoom(server.port);
    expect(server.alive).toBe(true);
  });
});
