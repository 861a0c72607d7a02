/** How processes of tests open a store of the build, and a record. */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { systemRandom, systemTime } from '../../../dist/internals.js';

const DIST = resolve(import.meta.dirname, '../../../dist');
const silent = { debug() {}, info() {}, warn() {}, error() {}, fatal() {} };
const KIND = {
  name: 'things',
  log: { ttlMs: 3_600_000, events: 10_000, bytes: 100_000_000 },
  keepMs: 3_600_000,
  listed: true,
};

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

/** `dist`: the folder of another build, for SQLite. */
export async function openStore(kind, target, { name = 'mcp', leaseMs = 60_000 } = {}, dist = DIST) {
  const { [kind]: store } = await import(
    kind === 'sqlite' ? pathToFileURL(`${dist}/stores/sqlite/index.js`).href : `sojourn-${kind}`
  );
  const given = { time: systemTime, random: systemRandom, logger: silent, eventLogBytes: 0, tombstones: 0 };
  const open = await store(target).open({ name, leaseMs, ...given, kinds: [KIND] });
  return { records: open.records(KIND), instances: open.instances, close: () => open.close() };
}
