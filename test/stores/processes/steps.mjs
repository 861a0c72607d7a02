/** What processes of tests open a store with, and a record. */

export const recordOf = (id, owner) => ({
  v: 1,
  id,
  epoch: 1,
  owner,
  user: 'ada',
  head: '2025-11-25 ig - .',
  body: JSON.stringify({ clientInfo: { name: id.split('-')[0], version: '1' } }),
  fields: {},
  createdAt: 0,
  stamp: 0,
  expiresAt: null,
  dueAt: null,
  rung: 0,
});

export async function openOptions(dist) {
  const { systemRandom, systemTime } = await import(`${dist}/internals.js`);
  const silent = { debug() {}, info() {}, warn() {}, error() {}, fatal() {} };
  return {
    name: 'mcp',
    time: systemTime,
    random: systemRandom,
    logger: silent,
    // No renewals: a killed writer is dead by the time the next one has started.
    leaseMs: 50,
    keepMs: 3_600_000,
    log: { ttlMs: 3_600_000, events: 10_000, bytes: 100_000_000 },
    eventLogBytes: 0,
    tombstones: 0,
  };
}
