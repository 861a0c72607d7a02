/**
 * How a request on a session is refused: 200 and a JSON-RPC error with its id, whose reason the header
 * `Sojourn-Refused` names.
 */
import { expect } from 'vitest';
import type { RawResponse } from './raw-response.ts';

/** The reason of a refusal; fails for any other answer. */
export function refusalOf(response: RawResponse, id?: number | string): string | undefined {
  const reason = response.header('sojourn-refused');
  const { error, ...rest } = response.json() as { id: unknown; error?: { data?: { reason?: string } } };
  expect([response.status, response.header('retry-after'), error]).toEqual([200, undefined, expect.any(Object)]);
  expect(rest).toEqual({ jsonrpc: '2.0', id: id ?? expect.anything() });
  expect(error?.data?.reason ?? reason).toBe(reason);
  return reason;
}
