/**
 * `sojourn doctor <store>`: opens a store as `serve` does, measures each operation on a record that it removes, and
 * prints who serves with the store and what is wrong. It takes no lease, so no instance sees it.
 */
import { base64url, systemRandom } from '../base/system.ts';
import type { EndpointStore } from '../endpoint/endpoint-store.ts';
import { keptMost } from '../session/record/kept-most.ts';
import { findsNoRoom } from '../base/errors.ts';
import { BUILD_VERSION } from '../base/protocol/versions.ts';
import { isEnded, type NewRecord, type Records } from '../stores/store.ts';
import type { Logger } from '../base/types.ts';
import { Failure } from './failure.ts';
import type { StoreRequest } from './records/commands.ts';
import { withOpenStore } from './records/opened-store.ts';
import { collectingLogger, type Findings, instanceText } from './records/printing.ts';

const ROUNDS = 20;
/** A record that is left behind, because the command was killed, is gone after this. */
const SCRATCH_MS = 60_000;
const FULL =
  'The store is full, or has less room left than sojourn leaves free: tasks and calls of once() are refused, and once ' +
  'it is full all writes. Give it more';
/** A call that is recorded waits for a write. */
const SLOW_MS = 50;

export async function doctor(request: StoreRequest): Promise<Findings> {
  const report = await examine(request);
  const { store, openMs, latencyMs, instances, kept, facts, warnings } = report;
  const operations = Object.entries(latencyMs).map(([name, ms]) => `${name} ${shownMs(ms)}`);
  const rows: Findings['rows'] = [
    ['opened', `in ${shownMs(openMs)}, with the rights that sojourn needs`],
    [
      'latency',
      operations.length === 0 ? 'not measured' : `${operations.join(', ')} (median of ${ROUNDS})`,
    ],
    ...instances.map((lease) => ['instance', instanceText(lease)] as const),
    ...(instances.length === 0
      ? [['instances', 'none serves with this store and deployment'] as const]
      : []),
    ...kept.map(
      ({ share, user, bytes }) => ['kept', `${shownMib(bytes)} of ${user ?? share}`] as const,
    ),
    ...facts.map((fact) => ['settings', fact] as const),
    ...warnings.map((warning) => ['warning', warning] as const),
  ];
  return { report, title: store, rows, problems: warnings.length };
}

/** `latencyMs`: the median of each operation. `kept`: who keeps most. `facts`: what the store says of its settings. */
async function examine(request: StoreRequest) {
  const [warnings, facts] = [new Set<string>(), new Set<string>()];
  const logger: Logger = {
    ...collectingLogger(warnings),
    // The Redis store says at this level whether its server keeps data on disk.
    debug: (fields, text) =>
      'losesData' in fields && (fields.losesData === true ? warnings : facts).add(text),
  };
  const began = performance.now();
  const look = async (opened: EndpointStore, store: string) => {
    const openMs = toHundredths(performance.now() - began);
    const latencyMs = await measure(opened.once).catch((error: unknown): Record<string, number> => {
      if (!findsNoRoom(error)) throw error;
      warnings.add(FULL);
      return {};
    });
    const instances = await opened.instances.list();
    const kept = await keptMost(opened);
    if (opened.full?.() === true) warnings.add(FULL);
    for (const [operation, ms] of Object.entries(latencyMs))
      if (ms > SLOW_MS)
        warnings.add(`${operation} takes ${shownMs(ms)}: calls that are recorded wait as long`);
    const versions = new Set(instances.map(({ version }) => version)).add(BUILD_VERSION);
    if (versions.size > 1)
      warnings.add(`Instances run different versions of sojourn: ${[...versions].join(', ')}`);
    const servers = new Set(instances.flatMap(({ server }) => server ?? []));
    if (servers.size > 1)
      warnings.add(
        `Different servers are in this deployment, and their sessions are shared: ${[...servers].join(', ')}. Give ` +
          'each its own --deployment',
      );
    return {
      store,
      openMs,
      latencyMs,
      instances,
      kept,
      facts: [...facts],
      warnings: [...warnings],
    };
  };
  return withOpenStore(request, look, logger);
}

/** Each operation, on records that no list shows. */
async function measure(records: Records) {
  const owner = `doctor-${base64url(systemRandom(9))}`;
  const fence = { epoch: 1, owner };
  const times: Record<string, number[]> = {};
  const timed = async <T>(operation: string, run: () => T | Promise<T>): Promise<T> => {
    const began = performance.now();
    const result = await run();
    (times[operation] ??= []).push(performance.now() - began);
    return result;
  };
  for (let round = 0; round < ROUNDS; round++) {
    const record = scratchRecord(owner);
    const { id } = record;
    await timed('create', () => records.create(record, SCRATCH_MS));
    const found = await timed('read', () => records.read(id));
    if (found === undefined || isEnded(found))
      throw new Failure('a record that was just written cannot be read');
    await timed('save', () => records.save(id, fence, { head: 'saved', expiresInMs: SCRATCH_MS }));
    const mark = { name: 'doctor', stream: 'doctor' };
    await timed('append', () => records.append({ id, fence, stream: null, mark }));
    await timed('end', () => records.end(id, fence, '', 0));
  }
  await records.trim();
  return Object.fromEntries(
    Object.entries(times).map(([name, all]) => [name, toHundredths(median(all))]),
  );
}

function scratchRecord(owner: string): NewRecord {
  const id = `doctor-${base64url(systemRandom(16))}`;
  const texts = { head: 'created', body: '{}', fields: {} };
  return { v: 1, id, epoch: 1, owner, user: null, ...texts, createdAt: Date.now(), stamp: 0 };
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
/** Rounds as `--json` writes it. */
const toHundredths = (ms: number): number => Math.round(ms * 100) / 100;
const shownMib = (bytes: number): string => `${(bytes / 1_048_576).toFixed(1)} MiB`;
const shownMs = (ms: number): string => `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
