/** A wait of a test that ends in vain says where the instances stand (`test/kit/waits.ts`). */
import type { McpServer, ServerContext } from '@modelcontextprotocol/server';
import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { Handles } from '../../src/durable/state/handles.ts';
import { live, type LiveObject } from '../../src/index.ts';
import { sqlite } from '../../src/stores/sqlite/index.ts';
import { serveFleet } from '../kit/fleet.ts';
import { createLab, say, tool, toolCall } from '../kit/lab.ts';
import { serve } from '../kit/serve.ts';
import { temporaryFolder } from '../kit/temporary.ts';
import { said } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import { gate, watchedStore } from '../kit/watched-store.ts';

const vain = (): Promise<string> =>
  until(() => false, { timeoutMs: 100, what: 'the end' }).then(String, String);

test('each instance with its state, its lease, its sessions with their running calls, and the log', async () => {
  const path = `${temporaryFolder()}/a.db`;
  const lab = createLab();
  const [one, two] = [
    await serve(lab.factory, { store: sqlite({ path }) }),
    await serve(lab.factory, { store: sqlite({ path }) }),
  ];
  const client = await one.openSession();
  const running = client.call('tools/call', { name: 'hold', arguments: {} });
  const held = await lab.held();
  // Of a session that is live at the other instance.
  const relayed = await two.client({ of: client }).post(toolCall('r', 'hold'));
  const relayedHeld = await lab.held(1);
  const seen = await vain();
  expect(seen).toMatch(
    /^Error: not within 100 ms: the end\ninstance 1 \([\w-]+\): serving, store ok/,
  );
  expect(seen).toMatch(/instance 1[^]*\n {2}lease: valid for \d+ ms\n {2}owns 1 sessions/);
  expect(seen).toMatch(/tools\/call hold \(id \d+\): runs, reader open/);
  expect(seen).toMatch(/tools\/call hold \(id r\): runs/);
  expect(seen).toMatch(/instance 2[^]*owns 0 sessions; 1 requests open or look for one/);
  expect(seen).toMatch(/log 1, info: A client connected/);
  held.answer('done');
  relayedHeld.answer('done');
  await Promise.all([running, relayed.untilEnd()]);
});

/** Servers with objects behind handles: `desk` opens one, and says its id. */
function desks(server: McpServer): void {
  const inputSchema = z.looseObject({ desk: z.string().optional() });
  type Args = z.infer<typeof inputSchema>;
  const open = live(
    { kind: 'desk', id: ({ desk }: Args) => desk, open: () => ({}) },
    (_: Args, _ctx: ServerContext, { handle }: LiveObject<object>) => said(handle.id),
  );
  server.registerTool('desk', { inputSchema }, open);
}

/** Two instances, a session of the first one, and a handle whose object is open there. */
async function planted() {
  const store = watchedStore();
  const labs = [createLab(desks), createLab(desks)];
  const [one, two] = await serveFleet(2, { store }, [], labs);
  const client = await one.openSession();
  const desk = await say(client, 'desk');
  const far = await two.openSession();
  return { store, one, two, client, far, call: tool('desk', { desk }) };
}

/** What a vain wait says while the call is under way. */
async function saidDuring(call: Promise<unknown>): Promise<string> {
  call.catch(() => undefined);
  return vain();
}

test('a branch of live objects that is lost: the call waits in LiveObjects', async () => {
  const { far, call } = await planted();
  const { read } = Handles.prototype;
  onTestFinished(() => void (Handles.prototype.read = read));
  Handles.prototype.read = () => new Promise(() => {});
  const seen = await saidDuring(far.call(...call));
  expect(seen).toMatch(/waits for the response to POST \/mcp, since \d+ ms/);
  expect(seen).toMatch(/waits for LiveObjects\.place, since \d+ ms/);
  expect(seen).not.toMatch(/Relay\.send|OwnerDirectory|OwnedRecords/);
});

test('a claim that never ends: the restore of its session waits for it', async () => {
  const { store, one, two, client } = await planted();
  await one.endpoint.close({ timeoutMs: 0 });
  const claimed = gate();
  onTestFinished(claimed.open);
  store.after['sessions.claim'] = claimed.hook;
  const seen = await saidDuring(two.join(client).call(...tool('count')));
  expect(seen).toMatch(/instance 1 [^\n]*: closed[^]*instance 2 [^\n]*: serving/);
  expect(seen).toMatch(/waits for Finder\.find\([\w-]+\)[^]*waits for Restorer\.restore/);
});

test('a link that drops what is sent: the call waits for that instance', async () => {
  const { store, one, far, call } = await planted();
  const dropped = gate();
  onTestFinished(dropped.open);
  const { id } = one;
  store.before['instances.send'] = (...[, , message]: [string, string, unknown]) =>
    JSON.stringify(message).includes('link') ? dropped.hook() : undefined;
  const seen = await saidDuring(far.call(...call));
  expect(seen).toMatch(/LiveObjects\.place/);
  expect(seen).toContain(`waits for OwnerDirectory.ownerOf`);
  expect(seen).toContain(`waits for Links.answers(${id})`);
  expect(seen).toMatch(/link to [\w.-]+: open, unanswered for \d+ ms/);
});
