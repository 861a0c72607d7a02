import { describe, expect, test } from 'vitest';
import { FleetRetryInterval } from '../../src/options/retry-interval.ts';
import type { InstanceLease } from '../../src/stores/store.ts';

const lease = (id: string, host: string | undefined, state: InstanceLease['state'] = 'serving'): InstanceLease => ({
  id,
  state,
  version: '0.2.0',
  ...(host !== undefined && { process: { host, pid: 1, startedAt: 0, runtime: 'Node.js 20' } }),
});
const OWN = lease('own', 'a');

function interval(retryMs: number, fleetRetryMs: number, leases: readonly InstanceLease[]): number {
  const retry = new FleetRetryInterval({ retryMs, fleetRetryMs });
  retry.noteLeases(leases, 'own');
  return retry.ms;
}

describe('fleetRetryMs is what clients wait', () => {
  test.each<[string, readonly InstanceLease[], number]>([
    ['while an instance on another host serves', [OWN, lease('other', 'b')], 1_000],
    ['not beside instances on this host alone', [OWN, lease('other', 'a')], 4_000],
    ['not while the instance on the other host drains', [OWN, lease('other', 'b', 'draining')], 4_000],
    ['not beside an instance that does not say its host', [OWN, lease('other', undefined)], 4_000],
    ['not while its own lease is not listed', [lease('other', 'b')], 4_000],
    ['not alone', [OWN], 4_000],
    ['not without a lease', [], 4_000],
  ])('%s', (_, leases, ms) => {
    expect(interval(4_000, 1_000, leases)).toBe(ms);
  });

  test('but never longer than retryMs', () => {
    const leases = [OWN, lease('other', 'b')];
    expect(interval(500, 1_000, leases)).toBe(500);
    expect(interval(4_000, Infinity, leases)).toBe(4_000);
    expect(interval(0, 0, leases)).toBe(0);
  });

  test('until the other host is gone', () => {
    const retry = new FleetRetryInterval({ retryMs: 4_000, fleetRetryMs: 1_000 });
    expect(retry.ms).toBe(4_000);
    retry.noteLeases([OWN, lease('other', 'b')], 'own');
    expect(retry.ms).toBe(1_000);
    retry.noteLeases([OWN], 'own');
    expect(retry.ms).toBe(4_000);
  });
});
