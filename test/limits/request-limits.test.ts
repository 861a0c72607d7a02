import { describe, expect, test } from 'vitest';
import { SojournError } from '../../src/errors.ts';
import type { Admission } from '../../src/limits/request-limits.ts';
import { RequestLimits } from '../../src/limits/request-limits.ts';
import { USER_DEFAULTS } from '../../src/options/resolve-limits.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import type { ToolLimits, UserLimits } from '../../src/types.ts';

interface Entering {
  readonly user: string | undefined;
  readonly address: string | undefined;
  readonly method: string;
  readonly inSession: boolean;
  readonly tool?: string;
}

const PING: Entering = { user: 'ann', address: undefined, method: 'ping', inSession: false };

function limitsOf(given: {
  requests?: number;
  subscriptions?: number;
  userShare?: number;
  perUser?: Partial<UserLimits>;
  perTool?: Record<string, Partial<ToolLimits>>;
}) {
  const time = createFakeTime();
  const none = { requests: Infinity, requestsPerMinute: Infinity, callMs: Infinity, userShare: 1 };
  const limits = new RequestLimits({
    time,
    limits: {
      requests: given.requests ?? Infinity,
      subscriptions: given.subscriptions ?? Infinity,
      userShare: given.userShare ?? 1,
    },
    perUser: { ...USER_DEFAULTS, ...given.perUser },
    perTool: Object.fromEntries(Object.entries(given.perTool ?? {}).map(([name, own]) => [name, { ...none, ...own }])),
  });
  const enter = (request: Partial<Entering> = {}): Admission | SojournError => {
    const { tool, method, inSession, address: clientAddress, ...who }: Entering = { ...PING, ...request };
    const admission = limits.enter({ ...who, clientAddress, relayOrigin: undefined }, method, inSession);
    return admission instanceof SojournError ? admission : (admission.enterTool(tool) ?? admission);
  };
  return { time, limits, enter };
}

const admitted = (entered: Admission | SojournError): Admission => {
  if (entered instanceof SojournError) throw entered;
  return entered;
};

const refusal = (entered: Admission | SojournError) =>
  entered instanceof SojournError ? [entered.status, entered.code, entered.headers?.['Retry-After']] : 'admitted';

describe('limits.requests', () => {
  test('counts what runs without a session; what left makes room once', () => {
    const { enter } = limitsOf({ requests: 2 });
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
});

describe('limits.userShare', () => {
  const streams = { method: 'subscriptions/listen' };

  test('one user gets half of the requests that the others leave free, rounded up, and the next is served', () => {
    const { enter } = limitsOf({ requests: 5, userShare: 0.5 });
    const [first] = [admitted(enter()), admitted(enter()), admitted(enter())];
    expect(refusal(enter())).toEqual([503, 'OVERLOADED', '1']);
    expect((enter() as SojournError).message).toContain('limits.requests, limits.userShare');
    // Half of the two that Ann leaves.
    admitted(enter({ user: 'bob' }));
    expect(refusal(enter({ user: 'bob' }))).toEqual([503, 'OVERLOADED', '1']);
    admitted(enter({ user: 'eve' }));
    expect((enter({ user: 'joe' }) as SojournError).message).toContain('5 requests run');
    first.release();
    // What is free now is for those who have less.
    expect(refusal(enter())).toEqual([503, 'OVERLOADED', '1']);
    expect(refusal(enter({ user: 'joe' }))).toBe('admitted');
  });

  test('callers without a user share by their address, and what runs on sessions does not count', () => {
    const { enter } = limitsOf({ requests: 2, userShare: 0.5 });
    const anonymous = { user: undefined, address: '192.0.2.1' };
    expect(refusal(enter({ ...anonymous, inSession: true }))).toBe('admitted');
    expect(refusal(enter(anonymous))).toBe('admitted');
    expect(refusal(enter(anonymous))).toEqual([503, 'OVERLOADED', '1']);
    expect(refusal(enter({ user: undefined, address: '192.0.2.2' }))).toBe('admitted');
  });

  test('one user gets half of the subscriptions/listen streams that are free; the SDK refuses one too many', () => {
    const { enter } = limitsOf({ subscriptions: 4, requests: 1, userShare: 0.5 });
    admitted(enter());
    const first = admitted(enter(streams));
    admitted(enter(streams));
    expect(refusal(enter(streams))).toEqual([503, 'OVERLOADED', '1']);
    expect((enter(streams) as SojournError).message).toContain('limits.subscriptions, limits.userShare');
    admitted(enter({ ...streams, user: 'bob' }));
    admitted(enter({ ...streams, user: 'eve' }));
    expect(refusal(enter({ ...streams, user: 'joe' }))).toBe('admitted');
    first.release();
    expect(refusal(enter(streams))).toBe('admitted');
  });

  test('with 1, one user gets everything', () => {
    const { enter } = limitsOf({ requests: 3, subscriptions: 3, userShare: 1 });
    for (let n = 0; n < 3; n++) admitted(enter());
    for (let n = 0; n < 3; n++) admitted(enter(streams));
    expect((enter() as SojournError).message).toContain('3 requests run');
  });

  test('the calls of a tool are shared where its limit says so', () => {
    const perTool = { slow: { requests: 3, userShare: 0.5 }, free: { requests: 3 } };
    const { enter } = limitsOf({ perTool });
    const slow = { method: 'tools/call', tool: 'slow', inSession: true };
    for (let n = 0; n < 2; n++) admitted(enter(slow));
    expect(refusal(enter(slow))).toEqual([429, 'TOOL_LIMIT', '1']);
    expect((enter(slow) as SojournError).message).toContain('limits.perTool, userShare');
    expect(refusal(enter({ ...slow, user: 'bob' }))).toBe('admitted');
    for (let n = 0; n < 3; n++) admitted(enter({ ...slow, tool: 'free' }));
  });
});

describe('limits.perUser', () => {
  test('requests of one user are counted in both eras, and no other user is refused', () => {
    const { enter } = limitsOf({ perUser: { requests: 2 } });
    admitted(enter());
    const second = admitted(enter({ inSession: true }));
    expect(refusal(enter())).toEqual([429, 'USER_LIMIT', '1']);
    expect(refusal(enter({ user: 'bob' }))).toBe('admitted');
    second.release();
    expect(refusal(enter({ inSession: true }))).toBe('admitted');
  });

  test('callers without a user count by their address', () => {
    const { enter } = limitsOf({ perUser: { requests: 1 } });
    const anonymous = { user: undefined, address: '192.0.2.1' };
    admitted(enter(anonymous));
    expect(refusal(enter(anonymous))).toEqual([429, 'USER_LIMIT', '1']);
    expect(refusal(enter({ user: undefined, address: '192.0.2.2' }))).toBe('admitted');
    expect(refusal(enter({ user: 'address 192.0.2.1' }))).toBe('admitted');
  });

  test.each([
    ['2001:db8:1:2::1', ['2001:db8:1:2::2', '2001:db8:1:2:ffff:1:2:3'], ['2001:db8:1:3::1', '2001:db8::1']],
    ['2001:db8::1', ['2001:db8::ffff:1', '2001:db8:0:0:1::'], ['2001:db8:0:1::', '2001::db8:0:0:1']],
    ['::ffff:192.0.2.1', [], ['::ffff:192.0.2.2', '192.0.2.1']],
    ['1::2:3:4:5:6', ['1:0:0:2:7::'], ['1:0:2:3::']],
  ])('an IPv6 caller counts by its network of 64 bits: %s', (address, same, others) => {
    const { enter } = limitsOf({ perUser: { requests: 1 } });
    admitted(enter({ user: undefined, address }));
    for (const one of [address, ...same])
      expect(refusal(enter({ user: undefined, address: one })), one).toEqual([429, 'USER_LIMIT', '1']);
    for (const one of others) expect(refusal(enter({ user: undefined, address: one })), one).toBe('admitted');
  });

  test('subscriptions/listen streams have a limit of their own', () => {
    const { enter } = limitsOf({ perUser: { subscriptions: 1, requests: 1 } });
    const listen = { method: 'subscriptions/listen' };
    const open = admitted(enter(listen));
    expect(refusal(enter(listen))).toEqual([429, 'USER_LIMIT', '1']);
    expect(refusal(enter())).toBe('admitted');
    open.release();
    expect(refusal(enter(listen))).toBe('admitted');
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

  test('a client that makes up 100,000 users resets the requests in a minute of no user who has sent more', () => {
    const { enter } = limitsOf({ perUser: { requestsPerMinute: 6 } });
    for (const user of ['ann', 'eve']) for (let n = 0; n < 6; n++) admitted(enter({ user })).release();
    for (let n = 0; n < 100_000; n++) admitted(enter({ user: `user ${n}` })).release();
    for (const user of ['ann', 'eve']) expect(refusal(enter({ user }))).toEqual([429, 'USER_LIMIT', '10']);
  });
});

describe('limits.perTool', () => {
  test('running calls of a tool are counted over all users', () => {
    const { enter } = limitsOf({ perTool: { slow: { requests: 1 } } });
    const call = { method: 'tools/call', tool: 'slow' };
    const running = admitted(enter(call));
    expect(refusal(enter({ ...call, user: 'bob' }))).toEqual([429, 'TOOL_LIMIT', '1']);
    expect(refusal(enter({ ...call, tool: 'quick' }))).toBe('admitted');
    expect(refusal(enter({ ...call, tool: 'constructor' }))).toBe('admitted');
    running.release();
    expect(refusal(enter({ ...call, user: 'bob' }))).toBe('admitted');
  });

  test('a call that the tool refuses costs its user nothing', () => {
    const { enter } = limitsOf({ perTool: { slow: { requestsPerMinute: 1 } }, perUser: { requestsPerMinute: 2 } });
    const call = { method: 'tools/call', tool: 'slow' };
    admitted(enter(call)).release();
    for (let n = 0; n < 5; n++) expect(refusal(enter(call))).toEqual([429, 'TOOL_LIMIT', '60']);
    expect(refusal(enter())).toBe('admitted');
  });

  test('sessions ask only where a limit of users or tools is set', () => {
    expect(limitsOf({ requests: 1 }).limits.limitsSessions).toBe(false);
    expect(limitsOf({ perUser: { requests: 5 } }).limits.limitsSessions).toBe(true);
    expect(limitsOf({ perTool: { slow: {} } }).limits.limitsSessions).toBe(true);
  });
});
