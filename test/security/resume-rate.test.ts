/**
 * Clients that resume more often than `limits.perUser.requestsPerMinute` allows. Many clients hang or give up when a
 * resume is refused with a status. So the GET ends cleanly, costs nothing, and its client comes back for the answer.
 */
import { describe, expect, onTestFinished, test } from 'vitest';
import { createFakeTime } from '../../src/testing/index.ts';
import { createFaultProxy } from '../kit/fault-proxy.ts';
import type { RawClient } from '../kit/raw-client.ts';
import { connectV1, connectV2, type Connect } from '../clients/official.ts';
import { createLab, textOf, tool, toolCall } from '../kit/lab.ts';
import { serve, userHeader } from '../kit/serve.ts';
import { until } from '../kit/until.ts';

const RESUMES = 40;
/** More than any official client tries after errors. */
const REFUSED = 10;
const RETRY_MS = 20;
/** More than any head of a response waits. */
const HEAD_MS = 100;

async function start(requestsPerMinute: number) {
  const time = createFakeTime();
  const lab = createLab((server) => {
    server.registerTool('say', { description: 'Sends a message, and waits' }, async (call) => {
      await call.mcpReq.notify({
        method: 'notifications/message',
        params: { level: 'error', data: 'first' },
      });
      return new Promise(() => {});
    });
  });
  const limits = { perUser: { requestsPerMinute } };
  const options = { retryMs: RETRY_MS, timeProvider: time, limits };
  const served = await serve(lab.factory, options, { face: 'node', auth: userHeader });
  const as = (user: string) => served.client({ headers: { 'x-user': user } });
  return { ...served, lab, time, as };
}

describe('a GET that resumes a call past requestsPerMinute', () => {
  test('ends cleanly, and its client gets the answer later', async () => {
    const { as, lab, time } = await start(60);
    const [eve, bob] = [as('eve'), as('bob')];
    for (const client of [eve, bob]) await client.initialize();
    const begin = async (client: RawClient, n: number) => {
      const response = client.post(toolCall(client.nextId(), 'hold'));
      const held = await lab.held(n);
      await time.advance(HEAD_MS);
      const call = await response;
      const { id = '' } = await call.next();
      return { id, held, call };
    };
    const [ours, theirs] = [await begin(eve, 0), await begin(bob, 1)];
    await until(async () => (await as('eve').initialize()).response.status === 429);
    for (const { call } of [ours, theirs]) call.abort();
    const answer = await bob.get({ lastEventId: theirs.id });
    let { id } = ours;
    for (let n = 0; n < RESUMES; n++) {
      const response = await eve.get({ lastEventId: id });
      expect([response.status, (await response.untilEnd()).length]).toEqual([200, 1]);
      const { id: next = '', retry } = await response.next();
      expect([next === id, retry]).toEqual([false, RETRY_MS]);
      id = next;
      await time.advance(RETRY_MS);
    }
    theirs.held.answer('for bob');
    expect(textOf(await answer.nextMessage())).toBe('for bob');
    expect(ours.held.ctx.mcpReq.signal.aborted).toBe(false);
    ours.held.answer('for eve');
    let text: string | undefined;
    while (text === undefined) {
      await time.advance(RETRY_MS);
      const events = await (await eve.get({ lastEventId: id })).untilEnd();
      text = events.map(({ message }) => textOf(message ?? {})).find((one) => one !== undefined);
    }
    expect(text).toBe('for eve');
  });

  test('ends with an error of its call before 2025-11-25, where no client comes back after a clean end', async () => {
    const { as } = await start(3);
    const eve = as('eve');
    await eve.initialize({ protocolVersion: '2025-06-18' });
    const id = eve.nextId();
    const call = await eve.post({
      jsonrpc: '2.0',
      id,
      method: 'tools/call',
      params: tool('say')[1],
    });
    const { id: lastEventId = '' } = await call.next();
    call.abort();
    const answers: unknown[] = [];
    for (let n = 0; n < RESUMES; n++) {
      const response = await eve.get({ lastEventId });
      answers.push(n < 1 ? undefined : await response.nextMessage());
      response.abort();
    }
    const error = { data: { reason: 'user_limit', mayHaveRun: true } };
    for (const answer of answers.slice(1)) expect(answer).toMatchObject({ id, error });
  });
});

describe.each<[string, Connect]>([
  ['v1 at 2025-11-25', connectV1],
  ['v2 at 2025-11-25', connectV2],
])('the official client %s', (_, connect) => {
  test('gets the answer to a call whose resumes were refused', async () => {
    const { client: raw, lab, time, port } = await start(100);
    const proxy = await createFaultProxy({ port });
    onTestFinished(() => proxy.close());
    const { say, requests, client } = await connect(`http://127.0.0.1:${proxy.port}/mcp`);
    onTestFinished(() => client.close());
    const said = say('hold');
    const held = await lab.held();
    await time.advance(HEAD_MS);
    // A caller without a user counts by its address, which is that of the client too.
    const other = raw();
    await until(async () => (await other.initialize()).response.status === 429);
    const resumes = (): number => requests.filter((request) => request.startsWith('GET ')).length;
    let over = false;
    void said.finally(() => (over = true)).catch(() => {});
    const comeBack = async (): Promise<void> => {
      const before = resumes();
      await until(() => over || resumes() > before, { what: 'the client to come back' });
      await time.advance(RETRY_MS);
    };
    proxy.cutAll();
    for (let n = 0; n < REFUSED; n++) await comeBack();
    expect([over, held.ctx.mcpReq.signal.aborted]).toEqual([false, false]);
    held.answer('at last');
    while (!over) await comeBack();
    expect(await said).toBe('at last');
  });
});
