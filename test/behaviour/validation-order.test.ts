/**
 * B13: every step of the order has a fault that only it sees. A request with the faults of two neighbours gets the
 * answer of the earlier one.
 */
import { describe, expect, test } from 'vitest';
import type { McpEndpointOptions } from '../../src/index.ts';
import type { RawClient, RawHeaders } from '../kit/raw-client.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { envelope, mirrored } from '../kit/modern.ts';
import { serve, userHeader, type Face } from '../kit/serve.ts';
import { heldTool, said, toolServer } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import {
  BODY_BYTES,
  type Draft,
  type Fault,
  NOT_JSON,
  RUNNING_ID,
  type Step,
  VALIDATION_ORDER,
} from './validation-faults.ts';
import { perFace, session } from '../kit/sessions.ts';
import { failure } from '../kit/refusals.ts';

const OPTIONS: McpEndpointOptions = {
  allowedHosts: ['127.0.0.1'],
  limits: { bodyBytes: BODY_BYTES, requestsPerSession: 1 },
  maxWaitMs: 0,
};

const ORDER = Object.keys(VALIDATION_ORDER) as Step[];
const between = (from: Step, to: Step): Step[] =>
  ORDER.slice(ORDER.indexOf(from), ORDER.indexOf(to) + 1);
const DOOR = between('host', 'era');
const MODERN = ['era', ...between('header-agreement', 'removed-method')] as const;
const LEGACY = ['era', ...between('session-id', 'running-requests')] as const;
/** What a GET passes of it. */
const GET = [
  'host',
  'origin',
  'accept',
  'version',
  'session-id',
  'lookup',
  'user',
  'session-version',
] as const;

/** A refusal carries the id of its request, whatever it is. */
const IDS = [5, 'text', '', 0, -7, Number.MAX_SAFE_INTEGER, '5'];

const neighbours = (steps: readonly Step[]): Array<[Step, Step]> =>
  steps.slice(1).map((later, n) => [steps[n] as Step, later]);

/** A session with one request running, which is as many as it may; a ping in it is in order. */
async function inSession(
  face: Face,
): Promise<{ send: (draft: Draft) => Promise<RawResponse>; draft: () => Draft }> {
  const held = heldTool();
  const { one } = await session(
    toolServer({ hold: held.tool }),
    { ...OPTIONS, sessionMode: 'stateful' },
    { headers: { 'x-user': 'alice' } },
    { face, auth: userHeader },
  );
  const hold = {
    jsonrpc: '2.0',
    id: RUNNING_ID,
    method: 'tools/call',
    params: { name: 'hold', arguments: {} },
  };
  await one.post(hold, { headers: { 'x-user': 'alice' } });
  await until(() => held.calls.length === 1);
  const { sessionId = '', protocolVersion = '' } = one;
  const headers = { 'mcp-session-id': sessionId, 'mcp-protocol-version': protocolVersion };
  return {
    send: (draft) => send(one, draft),
    draft: () => ({
      ...draftOf({ jsonrpc: '2.0', id: 5, method: 'ping' }, headers),
      mode: 'stateful',
    }),
  };
}

/** A call of 2026-07-28 that is in order on a hybrid endpoint. */
async function modern(
  face: Face,
): Promise<{ send: (draft: Draft) => Promise<RawResponse>; draft: () => Draft }> {
  const factory = toolServer({ echo: () => said('hello') });
  const hybrid = await serve(factory, OPTIONS, { face, auth: userHeader });
  const stateful = await serve(
    factory,
    { ...OPTIONS, sessionMode: 'stateful' },
    { face, auth: userHeader },
  );
  const clients = { hybrid: hybrid.client(), stateful: stateful.client() };
  const params = { name: 'echo', arguments: {} };
  return {
    send: (draft) => send(clients[draft.mode], draft),
    draft: () =>
      draftOf(
        { jsonrpc: '2.0', id: 5, method: 'tools/call', params: { ...params, _meta: envelope() } },
        mirrored('tools/call', params),
      ),
  };
}

function draftOf(message: Draft['message'], headers: RawHeaders): Draft {
  const common = { 'x-user': 'alice', accept: '*/*', 'content-type': 'application/json' };
  return {
    mode: 'hybrid',
    method: 'POST',
    headers: { ...common, ...(headers as Record<string, string>) },
    message,
    unsent: false,
  };
}

async function send(client: RawClient, draft: Draft): Promise<RawResponse> {
  const body = JSON.stringify(draft.message).replace(JSON.stringify(NOT_JSON), NOT_JSON);
  const declared = draft.headers['transfer-encoding'] === undefined && draft.method !== 'GET';
  const length: RawHeaders = declared ? { 'content-length': `${Buffer.byteLength(body)}` } : {};
  const own = { sessionId: null, version: null };
  const { request, response } = client.start(draft.method, {
    ...own,
    headers: { ...length, ...draft.headers },
  });
  if (draft.unsent) request.flushHeaders();
  else request.end(draft.method === 'GET' ? undefined : body);
  const answer = await response;
  if (draft.unsent) request.destroy();
  return answer;
}

function expectAnswer(response: RawResponse, { status, code, says, id, refused }: Fault): void {
  expect(response.json()).toMatchObject(failure(id, code, expect.stringMatching(says)));
  expect([response.status, response.header('sojourn-refused')]).toEqual([status, refused]);
  expect(response.header('content-type')).toBe('application/json');
}

describe.each(perFace)('$face', ({ face }) => {
  const table = [
    { what: 'door', steps: DOOR, ground: inSession },
    { what: 'modern', steps: MODERN, ground: modern },
    { what: 'legacy', steps: LEGACY, ground: inSession },
  ];

  for (const { what, steps, ground } of table) {
    test(`B13 without a fault a request passes every step (${what})`, async () => {
      const { send: sent, draft } = await ground(face);
      expect((await sent(draft())).status).toBe(200);
    });

    test.each(steps.map((step) => [step]))(
      `B12 B13 %s refuses its own fault (${what})`,
      async (step) => {
        const { send: sent, draft } = await ground(face);
        for (const id of IDS) {
          const spoiled = draft();
          spoiled.message.id = id;
          VALIDATION_ORDER[step].spoil(spoiled);
          const answer = await sent(spoiled);
          expectAnswer(answer, echoing(VALIDATION_ORDER[step], spoiled));
          // What was declared is not read.
          if (spoiled.unsent) expect(answer.header('connection')).toBe('close');
        }
      },
    );

    test.each(neighbours(steps))(
      `B8 B13 B181 %s answers before %s (${what})`,
      async (earlier, later) => {
        const { send: sent, draft } = await ground(face);
        const spoiled = draft();
        VALIDATION_ORDER[later].spoil(spoiled);
        VALIDATION_ORDER[earlier].spoil(spoiled);
        expectAnswer(await sent(spoiled), echoing(VALIDATION_ORDER[earlier], spoiled));
      },
    );
  }

  test.each(neighbours(GET))('B13 B34 on GET %s answers before %s', async (earlier, later) => {
    const { send: sent, draft } = await inSession(face);
    const spoiled = { ...draft(), method: 'GET' };
    VALIDATION_ORDER[later].spoil(spoiled);
    VALIDATION_ORDER[earlier].spoil(spoiled);
    expectAnswer(await sent(spoiled), echoing(VALIDATION_ORDER[earlier], spoiled));
  });
});

/**
 * The id of the answer is the request's own, whatever a fault made of it. A request of a version that no session has
 * keeps its status, and so does a GET or what is too long for its id to be looked for.
 */
function echoing(fault: Fault, { method, message, headers, unsent }: Draft): Fault {
  const { id, spoil, code, says, plain = fault.status } = fault;
  const known = id !== null && !unsent && method === 'POST' ? message.id : null;
  const answered = known !== null && headers['mcp-protocol-version'] === '2025-11-25';
  return answered ? { ...fault, id: known } : { spoil, code, says, id: known, status: plain };
}
