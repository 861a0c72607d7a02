/**
 * Names that a client makes up, 2 MB each: of tools, of methods and of itself. The process keeps none, neither for its
 * log nor in the spans that wait for their export.
 */
import { expect, test } from 'vitest';
import { CLIENT_INFO_META_KEY } from '@modelcontextprotocol/server';
import { envelope, mirrored } from '../kit/modern.ts';
import { Caller } from './processes/caller.ts';
import { until } from '../kit/until.ts';
import { sumOf } from './processes/small-heap.ts';
import { startSmallHeap } from './small-heap.ts';

const CALLS = 8;
const NAME_BYTES = 2_000_000;
/** No two are equal: the engine keeps equal names once. */
const nameOf = (n: number): string => `${n}`.padEnd(NAME_BYTES, 'x');

type Call = (caller: Caller, n: number) => ReturnType<Caller['rpc']>;

const ofTool: Call = (caller, n) => caller.rpc('tools/call', { name: nameOf(n) });
const ofMethod: Call = (caller, n) => caller.rpc(nameOf(n), {});
const ofClient: Call = (caller, n) => {
  const params = { name: 'echo', arguments: { text: 'short' } };
  const _meta = envelope({}, { [CLIENT_INFO_META_KEY]: { name: nameOf(n), version: '1' } });
  return caller.rpc(
    'tools/call',
    { ...params, _meta },
    mirrored('tools/call', params) as Record<string, string>,
  );
};

test.each([
  ['a tool, with telemetry', true, ofTool],
  ['a method, with telemetry', true, ofMethod],
  ['a client of 2026-07-28', false, ofClient],
])('the name of %s is not kept', async (_what, spans, call) => {
  const server = await startSmallHeap({ spans });
  const caller = new Caller(server.port, 'attacker');
  if (call !== ofClient) await caller.open();
  await call(caller, CALLS);
  /** What the process holds after a collection and no row of the memory budget has. */
  const uncharged = async (): Promise<number> => {
    const { heapBytes, rows } = await server.measure();
    return heapBytes - sumOf(rows);
  };
  const before = await uncharged();
  for (let n = 0; n < CALLS; n++) expect((await call(caller, n)).status).toBe(200);
  // Node.js keeps the last request of a connection until it closes, and `fetch` may use several.
  await until(async () => (await uncharged()) - before < 3 * NAME_BYTES, {
    what: 'the names are not kept',
  });
});
