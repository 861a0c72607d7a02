/**
 * How a request on a session is refused: 200 and a JSON-RPC error with its id, whose reason the header
 * `Sojourn-Refused` names.
 */
import { expect } from 'vitest';
import type { RawResponse } from './raw-response.ts';

/** The reason of a refusal; fails for any other answer. */
export function refusalOf(response: RawResponse, id?: number | string): string | undefined {
  const reason = response.header('sojourn-refused');
  const { error, ...rest } = response.json() as {
    id: unknown;
    error?: { data?: { reason?: string } };
  };
  expect([response.status, response.header('retry-after'), error]).toEqual([
    200,
    undefined,
    expect.any(Object),
  ]);
  expect(rest).toEqual({ jsonrpc: '2.0', id: id ?? expect.anything() });
  expect(error?.data?.reason ?? reason).toBe(reason);
  return reason;
}

/** A JSON-RPC error as an answer carries it. */
export const failure = (id: unknown, code: unknown, message: unknown, data?: unknown) => ({
  jsonrpc: '2.0',
  id,
  error: { code, message, ...(data !== undefined && { data }) },
});

export const NOT_FOUND = failure(null, -32001, 'Session not found');

/** What a client sees of a refusal: its status, the header with its reason, its body. */
export const seen = (response: RawResponse): unknown[] => [
  response.status,
  response.header('sojourn-refused'),
  response.json(),
];
