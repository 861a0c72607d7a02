/**
 * Clients that leave when their request is complete, or in the middle of its body: what it took of `limits` is given
 * back.
 */
import { connect } from 'node:net';
import { describe, onTestFinished, test } from 'vitest';
import type { McpEndpointOptions } from '../../src/index.ts';
import type { RawClient } from '../kit/raw-client.ts';
import { postModern } from '../kit/modern.ts';
import { inMatrix } from '../kit/matrix.ts';
import { faces, serve, type Face } from '../kit/serve.ts';
import { sharedStore, storeKinds, useSharedStores, type StoreKind } from '../kit/shared-stores.ts';
import { turns, until } from '../kit/until.ts';
import { userToken } from '../kit/issuer.ts';
import {
  abortEach,
  BUDGET,
  expectEmptyBudget,
  hasWholeBudget,
  modernBytes,
  rawRequest,
  rpcBytes,
  sessionHeaders,
  SLOTS,
  type Work,
  workServer,
} from './aborts.ts';

useSharedStores();

const ABORTS = 36;
/** A body of some size, so that a leak of a few is seen in the budget. */
const PADDING = 'x'.repeat(1_000);

interface Path {
  readonly options?: McpEndpointOptions;
  readonly later?: { factory?: boolean; scopes?: boolean };
  readonly era: 'session' | 'modern' | 'stateless';
  /** The client is connected to another instance than the owner of its session. */
  readonly relayed?: true;
  readonly send: (client: RawClient, n: number) => string;
}

/** The first event of a stream of each client. */
const firstEvents = new WeakMap<RawClient, string>();

const authorizing: McpEndpointOptions = {
  auth: {
    verify: userToken,
    authorize: async () => {
      await turns();
      return true;
    },
  },
};
const BEARER = { authorization: 'Bearer t' };

const work = (how: string) => ({ name: 'work', arguments: { how, padding: PADDING } });

const headersOf = (client: RawClient) => ({ ...BEARER, ...sessionHeaders(client) });

const post = (headers: object, id: number, method: string, params: object): string =>
  rpcBytes({ ...BEARER, ...headers }, id, method, params);

/** A call on a session continues without its client. */
const call: Path['send'] = (client, n) =>
  post(headersOf(client), 1_000 + n, 'tools/call', work(n % 2 === 0 ? 'once' : 'later'));

const initialize: Path['send'] = (_client, n) =>
  post({}, n, 'initialize', {
    protocolVersion: '2025-11-25',
    capabilities: {},
    clientInfo: { name: 'leaving', version: PADDING },
  });

const get: Path['send'] = (client) => rawRequest('GET', headersOf(client));

const resume: Path['send'] = (client) =>
  rawRequest('GET', { ...headersOf(client), 'last-event-id': firstEvents.get(client) ?? '' });

/** Calls of `work` that end when their client leaves, and one in three that answers in its turn or a later one. */
const hanging = (n: number): object =>
  work(n % 3 === 0 ? (n % 2 === 0 ? 'once' : 'later') : 'hang');

const modern: Path['send'] = (_client, n) => modernBytes(BEARER, n, hanging(n));

const stateless: Path['send'] = (_client, n) =>
  post({ 'mcp-protocol-version': '2025-11-25' }, n, 'tools/call', hanging(n));

const PATHS: Readonly<Record<string, Path>> = {
  'a call of a live session': { era: 'session', send: call },
  initialize: { era: 'session', send: initialize },
  'initialize with a factory that waits': {
    era: 'session',
    later: { factory: true },
    send: initialize,
  },
  'a call whose `authorize` waits': { era: 'session', options: authorizing, send: call },
  'a call whose scope check waits': { era: 'session', later: { scopes: true }, send: call },
  'a call at another instance': { era: 'session', relayed: true, send: call },
  'a call of `responseMode: json`': {
    era: 'session',
    options: { responseMode: 'json' },
    send: call,
  },
  'a GET': { era: 'session', send: get },
  'a GET that resumes': { era: 'session', send: resume },
  'a GET that resumes at another instance': { era: 'session', relayed: true, send: resume },
  'a 2026-07-28 call': { era: 'modern', send: modern },
  'a 2026-07-28 call whose `authorize` waits': {
    era: 'modern',
    options: authorizing,
    send: modern,
  },
  'a 2026-07-28 call with a factory and scopes that wait': {
    era: 'modern',
    later: { factory: true, scopes: true },
    send: modern,
  },
  'a stateless call': { era: 'stateless', options: { sessionMode: 'stateless' }, send: stateless },
  'half of the body of a stateless call': {
    era: 'stateless',
    options: { sessionMode: 'stateless' },
    send: (client, n) => stateless(client, n).slice(0, -500),
  },
  'a stateless call with a factory and scopes that wait': {
    era: 'stateless',
    options: { sessionMode: 'stateless' },
    later: { factory: true, scopes: true },
    send: stateless,
  },
};

async function open(path: Path, face: Face, store: StoreKind) {
  const { factory, work: calls } = workServer(path.later ?? {});
  const shared = sharedStore(store);
  const limits = { memoryBytes: BUDGET, userShare: 1, perTool: { work: { requests: SLOTS } } };
  const served = () => serve(factory, { ...path.options, limits, store: shared() }, { face });
  const owner = await served();
  const client = owner.client({ headers: BEARER });
  if (path.era === 'session') await client.initialize();
  if (path.send === resume) {
    const { response } = await client.call('tools/call', work('once'));
    firstEvents.set(client, response.events[0]?.id ?? '');
  }
  const ports = [owner.port];
  if (path.relayed === true) {
    const relay = await served();
    ports.unshift(relay.port);
    // It looks the owner up once.
    await relay.client({ headers: BEARER, of: client }).call('ping');
  }
  return { port: ports[0] ?? 0, ports, client, calls };
}

/** Sends one call more than may run at once. Resolves with how many were refused. */
async function refusedOf({ era }: Path, client: RawClient, { hanging }: Work): Promise<number> {
  let refused = 0;
  const params = work('hang');
  const responses = Array.from({ length: SLOTS + 1 }, async () => {
    const response =
      era === 'modern'
        ? await postModern(client, 'tools/call', params)
        : await client.post({ jsonrpc: '2.0', id: client.nextId(), method: 'tools/call', params });
    await response.untilEnd();
    // The head of a response may leave before its refusal.
    refused += (response.json() as { error?: unknown }).error === undefined ? 0 : 1;
  });
  await until(() => refused + hanging.size > SLOTS, { what: 'each call to begin or be refused' });
  const refusals = refused;
  for (const end of hanging) end();
  await Promise.all(responses);
  return refusals;
}

/** An aborted call may have its place until the store has answered. */
async function expectEverySlot(path: Path, client: RawClient, calls: Work): Promise<void> {
  await until(async () => (await refusedOf(path, client, calls)) === 1, {
    what: 'a place for each call',
  });
}

// A store that answers later leaves more steps in which a client may go.
describe.each(inMatrix(storeKinds, storeKinds.slice(-1)))('on %s', (store) => {
  describe.each(faces)('%s', (face) => {
    test.each(Object.keys(PATHS))('%s gives everything back', async (name) => {
      const path = PATHS[name] as Path;
      const { port, ports, client, calls } = await open(path, face, store);
      await expectEmptyBudget(ports, BEARER, calls);
      await abortEach(port, ABORTS, (n) => path.send(client, n));
      await expectEmptyBudget(ports, BEARER, calls);
      if (path.send !== initialize && path.send !== get && path.send !== resume) {
        await expectEverySlot(path, client, calls);
        await expectEmptyBudget(ports, BEARER, calls);
      }
    });
  });
});

test('the bodies of requests that wait behind another are given back when their connection closes', async () => {
  const path = PATHS['a stateless call'] as Path;
  const { port, ports, client, calls } = await open(path, 'node', 'memory');
  const socket = connect(port, '127.0.0.1').on('error', () => {});
  onTestFinished(() => void socket.destroy());
  const text = 'x'.repeat(200_000);
  // One runs until its client leaves, the other has an answer that waits for its turn.
  const [hangs, answered] = ['hang', 'once'].map((how) =>
    post({}, 1, 'tools/call', { name: 'work', arguments: { how, text } }),
  );
  socket.write(`${path.send(client, 1)}${hangs}${answered}`);
  await until(async () => !(await hasWholeBudget(port, BEARER)));
  socket.resetAndDestroy();
  await expectEmptyBudget(ports, BEARER, calls);
});
