/**
 * The store of the workers of `sojourn serve` where they have none: a file for what they share, which the supervisor
 * removes when it ends, and the logs of live sessions in the memory of each worker (`logs-here.ts`).
 */
import { join } from 'node:path';
import { KernelRecords } from '../kernel/records.ts';
import { sqliteStore } from '../sqlite/sqlite-store.ts';
import type { Kind, OpenStore, Store, StoreOptions } from '../store.ts';
import { EventBudget } from './event-budget.ts';
import { HANDED_LOGS, LogsHere } from './logs-here.ts';
import { MemoryBackend } from './memory-backend.ts';

/** The kind whose logs stay here: the calls of sessions write them. */
const LOGGED = 'sessions';

/** `folder`: of this user alone. All workers of a supervisor have the same. */
export function workersMemory(folder: string): Store {
  const file = sqliteStore({ path: join(folder, 'shared.db'), synchronous: 'off' });
  return { kind: 'memory', durable: true, open: (options) => openHere(file, options) };
}

async function openHere(file: Store, options: StoreOptions): Promise<OpenStore> {
  const view = await file.open({ ...options, kinds: [...options.kinds, HANDED_LOGS] });
  const sessions = options.kinds.find(({ name }) => name === LOGGED);
  if (sessions === undefined) return view;
  const rows = view.records(sessions);
  const here = new LogsHere({
    rows,
    handed: view.records(HANDED_LOGS),
    logs: logsOf(sessions, options),
  });
  return { ...view, records: (kind) => (kind.name === LOGGED ? here : view.records(kind)) };
}

function logsOf(sessions: Kind, options: StoreOptions): KernelRecords {
  const { time, tombstones, eventLogBytes, logger } = options;
  const budget = new EventBudget(eventLogBytes);
  const backend = new MemoryBackend({ time, tombstones, eventLogBytes, budget });
  return new KernelRecords({
    // A row that ends is forgotten at the next trim.
    kind: { ...sessions, listed: false, keepMs: 0 },
    backend,
    writes: backend.atOnce,
    isAlone: true,
    logger,
  });
}
