/** A client of the SDK finds the same errors when a lab kills its instance and when `kill -9` ends its process. */
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { openLab } from '../../src/testing/index.ts';
import { connectNegotiating, connectV1, connectV2 } from '../clients/official.ts';
import { startNode } from '../kit/child-process.ts';
import { inMatrix } from '../kit/matrix.ts';
import '../kit/stuck.ts';
import { until } from '../kit/until.ts';
import { hangingServer } from './processes/hanging-server.mjs';

const SERVER = fileURLToPath(new URL('processes/hanging-server.mjs', import.meta.url));
/** A call whose stream broke never ends. What its client hears of the break, it hears by then. */
const HEARD_MS = 300;
/** Without retries: a retry may come before the client's connections know that their other side is closed. */
const RETRIES = {
  initialReconnectionDelay: 10,
  maxReconnectionDelay: 10,
  reconnectionDelayGrowFactor: 1,
  maxRetries: 0,
};

const CLIENTS = {
  'SDK 1': connectV1,
  'SDK 2': connectV2,
  'SDK 2 without a session': connectNegotiating,
};

/** An error and its cause, as a client can tell them apart. The port of a real server is another one each time. */
function shown(error: unknown): string {
  const { name, message, code, cause } = error as Error & { code?: unknown };
  const whole = [name, message.replace(/(?<=127\.0\.0\.1:)\d+/, 'PORT'), code]
    .filter(Boolean)
    .join(' ');
  const isOfLab =
    cause === undefined || (error as Error).name === 'SocketError' || code === 'ECONNREFUSED';
  return isOfLab ? whole : `${whole}, because ${shown(cause)}`;
}

/** Everything that the client hears of the kill: by its requests, their bodies, `onerror` and two calls. */
async function heard(
  name: keyof typeof CLIENTS,
  responseMode: 'auto' | 'json',
  server: {
    readonly url: string;
    fetch: typeof fetch;
    called(): boolean | Promise<boolean>;
    kill(): unknown;
  },
): Promise<string[]> {
  const all = new Set<string>();
  let open = 0;
  const noted = (what: string) => (error: unknown) => {
    all.add(`${what}: ${shown(error)}`);
    throw error;
  };
  const caller = await CLIENTS[name](server.url, {
    reconnection: RETRIES,
    fetch: async (url, init) => {
      const response = await server.fetch(url, init).catch(noted('request'));
      if (response.body === null) return response;
      const [body, copy] = response.body.tee();
      open += 1;
      void new Response(copy)
        .text()
        .catch(noted('body'))
        .catch(() => {})
        .finally(() => (open -= 1));
      return new Response(body, response);
    },
  });
  // A session has its GET stream, and a call its own one, a moment after its handler was called.
  const streams = Number(name !== 'SDK 2 without a session') + Number(responseMode === 'auto');
  const over = new AbortController();
  const first = caller
    .callTool('hang', {}, { signal: over.signal })
    .catch(noted('first call'))
    .catch(() => {});
  await until(async () => (await server.called()) && open === streams);
  await server.kill();
  await until(() => open === 0);
  const timer = setTimeout(() => over.abort(new Error('nothing more is heard')), HEARD_MS);
  await first;
  clearTimeout(timer);
  await caller
    .callTool('hang')
    .catch(noted('second call'))
    .catch(() => {});
  for (const error of caller.errors) all.add(`onerror: ${shown(error)}`);
  return [...all].sort();
}

const MODES = inMatrix<'auto' | 'json'>(['auto', 'json'], ['auto']);

test.each(
  (Object.keys(CLIENTS) as Array<keyof typeof CLIENTS>).flatMap((client) =>
    MODES.map((mode) => [client, mode] as const),
  ),
)(
  '%s hears of a kill in a lab what it hears of kill -9, with responses of the kind %s',
  async (client, responseMode) => {
    const options = { responseMode, retryMs: 10, keepAliveMs: 500 };
    const { output, says, stop } = startNode([SERVER, JSON.stringify(options)]);
    const real = await heard(client, responseMode, {
      url: await says(/^(.*\/mcp)\n/),
      fetch: (url, init) => fetch(url, init),
      called: () => output.stdout.includes('called'),
      kill: () => stop('SIGKILL'),
    });
    let calls = 0;
    const lab = await openLab(
      hangingServer(() => (calls += 1)),
      options,
    );
    onTestFinished(() => lab.close());
    const [instance] = await lab.start();
    const inLab = await heard(client, responseMode, {
      url: 'http://localhost/mcp',
      fetch: lab.fetch,
      // The head of a response that streams leaves after a moment.
      called: () => lab.advance(10).then(() => calls > 0),
      kill: () => lab.kill(instance),
    });
    expect(inLab).toEqual(real);
    expect(real.join('\n')).toContain('other side closed');
    expect(real.join('\n')).toContain('ECONNREFUSED');
  },
);
