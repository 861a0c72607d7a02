/** Connections that break under the official clients' calls: what they are sent then, each message once. */
import { describe, expect, onTestFinished, test } from 'vitest';
import { createFaultProxy, type FaultProxy } from '../kit/fault-proxy.ts';
import { serve, type Served } from '../kit/serve.ts';
import { until } from '../kit/until.ts';
import { createLab, type Lab } from '../kit/lab.ts';
import { gate } from '../kit/watched-store.ts';
import { overFaces } from './opened.ts';
import {
  sessionClients,
  type ConnectOptions,
  type Message,
  type OfficialClient,
} from './official.ts';

interface Opened extends OfficialClient {
  readonly lab: Lab;
  readonly served: Served;
  readonly proxy: FaultProxy;
  readonly url: string;
}

describe.each(overFaces(sessionClients))('the %s client on the face %s', (_name, face, connect) => {
  const open = async (options?: ConnectOptions): Promise<Opened> => {
    const lab = createLab();
    const served = await serve(lab.factory, { retryMs: 5 }, { face });
    const proxy = await createFaultProxy({ port: served.port });
    onTestFinished(() => proxy.close());
    const url = `http://127.0.0.1:${proxy.port}/mcp`;
    const opened = await connect(url, options);
    await opened.listening;
    return { ...opened, lab, served, proxy, url };
  };

  test('B29 B116 gets every message of a call once, though its connection breaks twice', async () => {
    const { lab, callTool, proxy, messages, requests } = await open();
    const call = callTool('hold', {}, { onprogress: () => {} });
    const held = await lab.held();
    await held.progress(1);
    await until(() => progressOf(messages).length === 1, {
      what: 'the progress before the first cut',
    });
    proxy.refuse(true);
    proxy.cutAll();
    await held.progress(2);
    await held.progress(3);
    proxy.refuse(false);
    await until(() => progressOf(messages).length === 3, {
      what: 'what was sent while it was away',
    });
    await held.progress(4);
    await until(() => progressOf(messages).length === 4, {
      what: 'what was sent after it came back',
    });
    proxy.refuse(true);
    proxy.cutAll();
    held.answer('done');
    proxy.refuse(false);
    expect((await call).content).toEqual([{ type: 'text', text: 'done' }]);
    expect(progressOf(messages)).toEqual([1, 2, 3, 4]);
    expect(messages.filter(({ result }) => result !== undefined)).toHaveLength(1);
    expect(requests.filter((request) => request === 'POST')).toHaveLength(3);
    expect(held.ctx.mcpReq.signal.aborted).toBe(false);
  });

  test('B117 gets what was sent on its GET stream while it was away, once', async () => {
    const { lab, proxy, messages } = await open();
    const [server] = lab.made;
    const log = (data: number) => server?.server.sendLoggingMessage({ level: 'info', data });
    await log(1);
    await until(() => logged(messages).length === 1, { what: 'the message before the cut' });
    proxy.refuse(true);
    proxy.cutAll();
    await log(2);
    await log(3);
    proxy.refuse(false);
    await until(() => logged(messages).length >= 3, { what: 'the messages sent in that time' });
    await log(4);
    await until(() => logged(messages).length >= 4, { what: 'the message after it came back' });
    expect(logged(messages)).toEqual([1, 2, 3, 4]);
  });

  test('B122 B123 comes back for its answer when the server closes the stream', async () => {
    const { lab, callTool, messages, requests } = await open();
    const call = callTool('hold', {}, { onprogress: () => {} });
    const held = await lab.held();
    await held.progress(1);
    held.ctx.http?.closeSSE?.();
    const resumed = () => requests.filter((request) => request.startsWith('GET ')).length;
    await until(() => resumed() === 1, { what: 'the first time it comes back' });
    await held.progress(2);
    await until(() => progressOf(messages).length === 2, {
      what: 'progress on the resumed stream',
    });
    held.ctx.http?.closeSSE?.();
    await until(() => resumed() === 2, { what: 'the second time' });
    held.answer('polled');
    expect((await call).content).toEqual([{ type: 'text', text: 'polled' }]);
    expect(progressOf(messages)).toEqual([1, 2]);
    expect(messages.filter(({ result }) => result !== undefined)).toHaveLength(1);
  });

  test('B212 opens its GET stream again when the server closes it', async () => {
    const { lab, callTool, messages, requests } = await open();
    const call = callTool('hold');
    const held = await lab.held();
    held.ctx.http?.closeStandaloneSSE?.();
    await held.made.server.sendLoggingMessage({ level: 'info', data: 'later' });
    await until(() => logged(messages).length === 1, {
      what: 'the message sent while the stream was closed',
    });
    expect(requests.filter((request) => request.startsWith('GET '))).toHaveLength(1);
    held.answer('done');
    await call;
    expect(logged(messages)).toEqual(['later']);
  });

  test('answers a question whose connection broke', async () => {
    const person = gate();
    const elicit = async () => {
      await person.hook();
      return { action: 'accept', content: { colour: 'green' } };
    };
    const { say, proxy } = await open({ elicit });
    const call = say('ask');
    await until(() => person.waiting === 1);
    proxy.cutAll();
    person.open();
    expect(await call).toBe('accept {"colour":"green"}');
  });

  test('another client of the same session takes a call over by its token', async () => {
    const { lab, callTool, url, client, sessionId } = await open();
    const tokens: string[] = [];
    callTool('hold', {}, { onresumptiontoken: (token) => tokens.push(token) }).catch(
      () => undefined,
    );
    const held = await lab.held();
    await until(() => tokens.length > 0, { what: 'the token of the priming event' });
    await client.close();
    const second = await connect(url, { sessionId: String(sessionId) });
    const call = second.callTool('hold', {}, { resumptionToken: String(tokens.at(-1)) });
    held.answer('for the next client');
    expect((await call).content).toEqual([{ type: 'text', text: 'for the next client' }]);
  });

  test('does not come back for more after an error or a cancelled call', async () => {
    const { lab, callTool, client, requests, errors } = await open();
    await expect(callTool('unknown')).rejects.toMatchObject({ code: -32_602 });
    const stop = new AbortController();
    const call = callTool('hold', {}, { signal: stop.signal });
    await lab.held();
    stop.abort();
    await expect(call).rejects.toThrow();
    await until(() => requests.at(-1)?.startsWith('GET '), {
      what: 'the question whether there is more',
    });
    for (let pings = 0; pings < 30; pings++) await client.ping();
    const asked = requests.filter((request) => request.startsWith('GET '));
    expect(asked).toHaveLength(new Set(asked).size);
    expect(errors).toEqual([]);
  });
});

const progressOf = (messages: readonly Message[]): unknown[] =>
  messages
    .filter(({ method }) => method === 'notifications/progress')
    .map(({ params }) => params?.['progress']);

const logged = (messages: readonly Message[]): unknown[] =>
  messages
    .filter(({ method }) => method === 'notifications/message')
    .map(({ params }) => params?.['data']);
