/** One request to an endpoint, and the rules for every answer. */
import { expect } from 'vitest';
import type { RawClient, RawHeaders } from '../kit/raw-client.ts';
import type { RawResponse } from '../kit/raw-response.ts';

export interface Shot {
  readonly method: string;
  readonly headers: RawHeaders;
  readonly body?: string | Uint8Array | undefined;
}

/** None of these is a failure of the server. */
const STATUSES = [200, 202, 204, 400, 403, 404, 405, 406, 413, 415, 429];

interface Message {
  readonly jsonrpc?: unknown;
  readonly id?: unknown;
  readonly method?: unknown;
  readonly result?: unknown;
  readonly error?: { readonly code?: unknown; readonly message?: unknown };
}

/** Waits for the whole answer. A GET stream is closed once it is open. */
export async function probe(client: RawClient, { method, headers, body }: Shot): Promise<RawResponse> {
  const started = client.start(method, { headers, sessionId: null, version: null });
  started.request.end(method === 'POST' ? body : undefined);
  const response = await started.response;
  expect(STATUSES).toContain(response.status);
  if (response.sse) {
    expect(response.status).toBe(200);
    if (method === 'GET' || isSubscription(body)) {
      response.abort();
      return response;
    }
    await response.untilEnd();
    expect(response.ending).toBe('complete');
  }
  if (response.status >= 400) checkRefusal(response, method);
  else if (response.status !== 200) expect(response.body).toBe('');
  else if (method === 'POST') checkAnswers(response, body);
  return response;
}

function checkRefusal(response: RawResponse, method: string): void {
  if (method === 'HEAD') return expect(response.body).toBe('');
  expect(response.header('content-type')).toBe('application/json');
  const refusal = response.json() as Message;
  expect(refusal).toMatchObject({ jsonrpc: '2.0', error: { code: expect.any(Number), message: expect.any(String) } });
  expect(Object.keys(refusal)).toContain('id');
  expect(['string', 'number', 'object']).toContain(typeof refusal.id);
  if (response.status === 405) expect(response.header('allow')).toBeTruthy();
}

/** Every request of the body was answered once, under its own id. */
function checkAnswers(response: RawResponse, body: string | Uint8Array | undefined): void {
  const messages = response.sse
    ? response.events.flatMap(({ message }) => (message === undefined ? [] : [message as Message]))
    : [response.json() as Message | Message[]].flat();
  const answers = messages.filter(({ method }) => method === undefined);
  for (const answer of answers) {
    expect(answer.jsonrpc).toBe('2.0');
    expect('result' in answer).not.toBe('error' in answer);
    if (answer.error !== undefined) expect(Number.isInteger(answer.error.code)).toBe(true);
  }
  const asked = [parse(body) as Message | Message[]]
    .flat()
    .flatMap((one) => ('method' in one && 'id' in one ? [one.id] : []));
  expect(answers.map((answer) => answer.id).sort()).toEqual(asked.sort());
}

function parse(body: string | Uint8Array | undefined): unknown {
  return JSON.parse(typeof body === 'string' ? body : Buffer.from(body ?? []).toString());
}

function isSubscription(body: string | Uint8Array | undefined): boolean {
  return typeof body === 'string' && body.includes('"subscriptions/listen"');
}
