/**
 * The kinds of records that an endpoint keeps in its store. The store itself keeps two more: leases and secrets
 * (`stores/shared/`).
 */
import type { EventRetention } from '../../base/types.ts';
import type { KeptLimits } from '../../stores/quota/kept-limits.ts';
import type { Outcomes } from '../../durable/records/outcomes.ts';
import type { Kind, OpenStore, Records } from '../../stores/store.ts';

/** The store of an endpoint. */
export interface EndpointStore extends Omit<OpenStore, 'records' | 'room'> {
  readonly sessions: Records;
  /** Calls of tools that run once for each key (`durable/once/entry.ts`). */
  readonly once: Records;
  /** With the option `tasks` (`durable/tasks/task-record.ts`). */
  readonly tasks: Records;
  readonly results: Records;
  /** How these two kinds end. */
  readonly outcomes: Outcomes;
  readonly limits: KeptLimits;
  /** What users keep (`durable/state/states.ts`), and what is behind handles (`durable/state/handles.ts`). */
  readonly states: Records;
  readonly handles: Records;
  /** What was emitted, what can be polled, and who has a callback (`durable/events/event-store.ts`). */
  readonly emits: Records;
  readonly events: Records;
  readonly subscriptions: Records;
  /** What dashboards show of each instance, by the ids of the instances. */
  readonly figures: Records;
}

/** The sessions of 2025-era clients (`session-record.ts`). */
export const sessionKind = (log: EventRetention | false, tombstoneMs: number): Kind => ({
  name: 'sessions',
  log,
  keepMs: tombstoneMs,
  listed: true,
  counted: true,
});

/** Calls that run once. Each write says how long its entry lasts: a forgotten one would run again. */
export const ONCE: Kind = {
  name: 'once',
  log: false,
  keepMs: 0,
  listed: false,
  counted: true,
  evicts: false,
};

/** What the runs of a task record (`durable/tasks/steps.ts`). Clients that ask for the task do not read it. */
export const TASK_LOG: EventRetention = { maxAgeMs: Infinity, events: 2_000, bytes: 2_097_152 };

/**
 * Tasks. Listed: the sweep must find those whose owner died. Grouped: the open tasks of a user are counted and listed.
 * Opened always, because a rolling deploy may switch the option on.
 */
export const TASKS: Kind = {
  name: 'tasks',
  log: TASK_LOG,
  keepMs: 0,
  listed: true,
  grouped: true,
  counted: true,
  evicts: false,
};

/** The states of users: found by the user alone. */
export const STATES: Kind = {
  name: 'states',
  log: false,
  keepMs: 0,
  listed: false,
  counted: true,
  evicts: false,
};

/** Handles. Grouped: those of a user are counted and listed. */
export const HANDLES: Kind = {
  name: 'handles',
  log: false,
  keepMs: 0,
  listed: true,
  grouped: true,
  counted: true,
  evicts: false,
};

/** Long results of tasks and of `once()`, which may be forgotten early (`durable/records/outcomes.ts`). */
export const RESULTS: Kind = {
  name: 'results',
  log: false,
  keepMs: 0,
  listed: false,
  counted: true,
  evicts: false,
};

/** `durable/events/event-store.ts`. */
export const EMITS: Kind = { name: 'emits', log: false, keepMs: 0, listed: true, evicts: false };
export const EVENTS: Kind = { ...EMITS, name: 'events', grouped: true };
export const SUBSCRIPTIONS: Kind = { ...EVENTS, name: 'subscriptions', counted: true };

/** The figures of instances, for the pages of dashboards (`dashboard/server/shared-figures.ts`). */
export const FIGURES: Kind = { name: 'figures', log: false, keepMs: 0, listed: true };
