import { describe, expect, test } from 'vitest';
import { SojournError } from '../../../src/base/errors.ts';
import type { Admission } from '../../../src/http/limits/request-limits.ts';
import { RequestLimits } from '../../../src/http/limits/request-limits.ts';
import type { McpEndpointOptions } from '../../../src/base/options/mcp-endpoint-options.ts';
import { resolveOptions } from '../../../src/base/options/resolve.ts';
import { createFakeTime } from '../../../src/testing/index.ts';

interface Entering {
  readonly user: string | undefined;
  readonly address: string | undefined;
  readonly method: string;
  readonly inSession: boolean;
  readonly tool?: string;
}

const PING: Entering = { user: 'ann', address: undefined, method: 'ping', inSession: false };

function limitsOf(given: McpEndpointOptions['limits']) {
  const time = createFakeTime();
  const limits = new RequestLimits(
    resolveOptions({ timeProvider: time, limits: { userShare: 1, ...given } }),
  );
  const enter = (request: Partial<Entering> = {}): Admission | SojournError => {
    const {
      tool,
      method,
      inSession,
      address: clientAddress,
      user: userKey,
    }: Entering = { ...PING, ...request };
    const admission = limits.enter(
      { userKey, clientAddress, relayOrigin: undefined },
      method,
      inSession,
    );
    return admission instanceof SojournError ? admission : (admission.enterTool(tool) ?? admission);
  };
  return { time, limits, enter };
}

const admitted = (entered: Admission | SojournError): Admission => {
  if (entered instanceof SojournError) throw entered;
  return entered;
};

const refusal = (entered: Admission | SojournError) =>
  entered instanceof SojournError
    ? [entered.status, entered.code, entered.headers?.['Retry-After']]
    : 'admitted';

test('limits.sessionlessRequests counts what runs without a session; what left makes room once', () => {
  const { enter } = limitsOf({ sessionlessRequests: 2 });
  const first = admitted(enter());
  admitted(enter({ user: 'bob' }));
  expect(refusal(enter({ user: 'eve' }))).toEqual([503, 'OVERLOADED', '1']);
  expect(refusal(enter({ inSession: true }))).toBe('admitted');
  expect(refusal(enter({ method: 'subscriptions/listen' }))).toBe('admitted');
  first.release();
  first.release();
  expect(refusal(enter())).toBe('admitted');
  expect(refusal(enter())).toEqual([503, 'OVERLOADED', '1']);
});

describe('limits.perUser', () => {
  test.each([
    [
      '2001:db8:1:2::1',
      ['2001:db8:1:2::2', '2001:db8:1:2:ffff:1:2:3'],
      ['2001:db8:1:3::1', '2001:db8::1'],
    ],
    [
      '2001:db8::1',
      ['2001:db8::ffff:1', '2001:db8:0:0:1::'],
      ['2001:db8:0:1::', '2001::db8:0:0:1'],
    ],
    ['192.0.2.1', [], ['192.0.2.2']],
    ['1::2:3:4:5:6', ['1:0:0:2:7::'], ['1:0:2:3::']],
  ])('an IPv6 caller counts by its network of 64 bits: %s', (address, same, others) => {
    const { enter } = limitsOf({ perUser: { requests: 1 } });
    admitted(enter({ user: undefined, address }));
    for (const one of [address, ...same])
      expect(refusal(enter({ user: undefined, address: one })), one).toEqual([
        429,
        'USER_LIMIT',
        '1',
      ]);
    for (const one of others)
      expect(refusal(enter({ user: undefined, address: one })), one).toBe('admitted');
  });

  test('subscriptions/listen streams have a limit of their own', () => {
    const { enter } = limitsOf({ perUser: { subscriptions: 1, requests: 1 } });
    const listen = { method: 'subscriptions/listen' };
    const open = admitted(enter(listen));
    expect(refusal(enter(listen))).toEqual([429, 'USER_LIMIT', '1']);
    expect(refusal(enter())).toBe('admitted');
    for (let n = 0; n < 2; n++) open.release();
    expect(refusal(enter(listen))).toBe('admitted');
    expect(refusal(enter(listen))).toEqual([429, 'USER_LIMIT', '1']);
  });

  test('requestsPerMinute refills evenly, and Retry-After tells when', async () => {
    const { enter, time } = limitsOf({ perUser: { requestsPerMinute: 6 } });
    for (let n = 0; n < 6; n++) admitted(enter()).release();
    expect(refusal(enter())).toEqual([429, 'USER_LIMIT', '10']);
    await time.advance(9_000);
    expect(refusal(enter())).toEqual([429, 'USER_LIMIT', '1']);
    await time.advance(1_000);
    admitted(enter()).release();
    expect(refusal(enter())).toEqual([429, 'USER_LIMIT', '10']);
    await time.advance(3_600_000);
    for (let n = 0; n < 6; n++) admitted(enter()).release();
    expect(refusal(enter())).toEqual([429, 'USER_LIMIT', '10']);
  });

  test('a user is not forgotten while requests run, however many others come', () => {
    const { enter } = limitsOf({ perUser: { requests: 1 } });
    admitted(enter());
    for (let n = 0; n < 30_000; n++) admitted(enter({ user: `user ${n}` })).release();
    expect(refusal(enter())).toEqual([429, 'USER_LIMIT', '1']);
  });

  test('a user over its requests in a minute is refused as long as it asks, however many others come', () => {
    const { enter } = limitsOf({ perUser: { requestsPerMinute: 1 } });
    for (let n = 0; n < 100_000; n++) {
      admitted(enter({ user: `user ${n}` })).release();
      if (n % 9_000 === 0)
        expect(refusal(enter({ user: 'user 0' }))).toEqual([429, 'USER_LIMIT', '60']);
    }
  });
});

describe('limits.perTool', () => {
  test('a call that the tool refuses costs its user nothing', () => {
    const { enter } = limitsOf({
      perTool: { slow: { requestsPerMinute: 1 } },
      perUser: { requestsPerMinute: 2 },
    });
    const call = { method: 'tools/call', tool: 'slow' };
    admitted(enter(call)).release();
    for (let n = 0; n < 5; n++) expect(refusal(enter(call))).toEqual([429, 'TOOL_LIMIT', '60']);
    expect(refusal(enter())).toBe('admitted');
  });

  test('a batch that is refused costs its user nothing', () => {
    const { limits, enter } = limitsOf({
      perTool: { slow: { requestsPerMinute: 2 } },
      perUser: { requestsPerMinute: 3 },
    });
    const call = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'slow' } } as const;
    const batch = [call, call, call];
    const caller = { userKey: 'ann', clientAddress: undefined, relayOrigin: undefined };
    expect(limits.enterAll(caller, batch, batch)).toMatchObject({ code: 'TOOL_LIMIT' });
    const entered = ['slow', 'slow', undefined].map((tool) =>
      enter({ ...(tool !== undefined && { tool }) }),
    );
    expect(entered.map(refusal)).toEqual(['admitted', 'admitted', 'admitted']);
  });
});
