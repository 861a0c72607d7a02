/**
 * A memory store that a test observes. It records calls, and runs a hook before a call reaches the store. A hook that
 * returns a promise delays the call, and a hook that throws fails it, so that tests control races and outages. A hook
 * after the call does the same to its reply.
 */
import { storeUnavailable } from '../../src/base/errors.ts';
import { memory } from '../../src/stores/memory/index.ts';
import type {
  AppendRequest,
  InstanceLease,
  InstanceStore,
  OpenStore,
  RecordChange,
  Records,
  Store,
} from '../../src/stores/store.ts';

/**
 * `sessions.append`, `sessions.claim` … The records are named by their kind. A save that releases is a `release`, and
 * an append of marks alone is a `mark`.
 */
type Call =
  | `${'sessions' | 'once' | 'tasks' | 'states' | 'handles' | 'figures'}.${keyof Records | 'release' | 'mark'}`
  | `instances.${keyof InstanceStore}`;

export interface WatchedStore extends Store {
  readonly calls: Array<{ readonly call: Call; readonly args: readonly unknown[] }>;
  /** By call name; tests set and delete hooks. */
  readonly before: Partial<Record<Call, (...args: never[]) => unknown>>;
  readonly after: Partial<Record<Call, (...args: never[]) => unknown>>;
  /** The views that endpoints have opened, in order. */
  readonly views: WatchedView[];
}

/** What a test calls itself, unwatched. */
interface WatchedView extends Pick<OpenStore, 'instances' | 'secret'> {
  readonly sessions: Records;
  readonly once: Records;
  readonly tasks: Records;
  readonly states: Records;
  readonly handles: Records;
}

/** `durable`: what endpoints take the store for, whatever it is. */
export function watchedStore({
  durable = false,
  inner = memory(),
}: { durable?: boolean; inner?: Store } = {}): WatchedStore {
  const calls: WatchedStore['calls'] = [];
  const before: WatchedStore['before'] = {};
  const after: WatchedStore['after'] = {};
  const views: WatchedView[] = [];

  const watch = <T extends object>(room: string, methods: T): T =>
    new Proxy(methods, {
      get(target, name) {
        const method = Reflect.get(target, name) as ((...args: unknown[]) => unknown) | undefined;
        if (method === undefined) return undefined;
        return (...args: unknown[]) => {
          const call = `${room}.${writeOf(String(name), args)}` as Call;
          calls.push({ call, args });
          const held = run(before[call], args);
          const outcome =
            held instanceof Promise
              ? held.then(() => method.apply(target, args))
              : method.apply(target, args);
          const late = after[call] === undefined ? undefined : run(after[call], args);
          return late instanceof Promise ? late.then(() => outcome) : outcome;
        };
      },
    });

  return {
    kind: 'watched',
    durable,
    calls,
    before,
    after,
    views,
    async open(options) {
      const view = await inner.open(options);
      const plain = new Map(options.kinds.map((kind) => [kind.name, view.records(kind)]));
      const of = (name: string): Records => {
        const records = plain.get(name);
        if (records === undefined)
          throw new Error(`an endpoint has no records of the kind ${name}`);
        return records;
      };
      const [sessions, once, tasks] = [of('sessions'), of('once'), of('tasks')];
      const [states, handles] = [of('states'), of('handles')];
      const { instances } = view;
      const secret = (name: string, keepMs?: number) => view.secret(name, keepMs);
      views.push({ sessions, once, tasks, states, handles, instances, secret });
      const watched = new Map(
        options.kinds.map((kind) => [kind.name, watch(kind.name, view.records(kind))]),
      );
      return {
        records: ({ name }) => watched.get(name) as Records,
        instances: watch('instances', instances),
        secret: (name, keepMs) => view.secret(name, keepMs),
        kept: view.kept,
        close: () => view.close(),
      };
    },
  };
}

function writeOf(name: string, args: readonly unknown[]): string {
  if (name === 'save') return (args[2] as RecordChange).release === true ? 'release' : name;
  return name === 'append' && (args[0] as AppendRequest).stream === null ? 'mark' : name;
}

function run(hook: ((...args: never[]) => unknown) | undefined, args: readonly unknown[]): unknown {
  return (hook as ((...args: readonly unknown[]) => unknown) | undefined)?.(...args);
}

const EVERY_CALL: readonly Call[] = [
  ...(
    [
      'read',
      'create',
      'claim',
      'save',
      'release',
      'end',
      'list',
      'due',
      'append',
      'mark',
      'replay',
      'trim',
    ] as const
  ).map((name) => `sessions.${name}` as const),
  ...(['announce', 'renew', 'read', 'list', 'send', 'bury', 'leave', 'publish'] as const).map(
    (name) => `instances.${name}` as const,
  ),
];

/** As in an outage, these calls fail, by default all about sessions and instances. */
export function cut({ before }: WatchedStore, ...calls: readonly Call[]): void {
  for (const call of calls.length === 0 ? EVERY_CALL : calls)
    before[call] = () => {
      throw storeUnavailable('the cable is out');
    };
}

/** Takes these hooks away, by default all that are before a call. */
export function mend({ before }: WatchedStore, ...calls: readonly Call[]): void {
  for (const call of calls.length === 0 ? (Object.keys(before) as Call[]) : calls)
    delete before[call];
}

/**
 * As after a crash: the lease of the instance that opened the store first is gone, and it takes no other. It does not
 * know until its lease time has passed. The other instances with this store renew theirs.
 */
export async function loseLease({ before, views }: WatchedStore, id: string): Promise<void> {
  const [firstId = ''] = id.split('.');
  if (firstId === '') throw new Error('this instance has no lease yet');
  const refuse = (own: string): void => {
    if (own.startsWith(firstId))
      throw storeUnavailable('the lease of this instance is lost for a test');
  };
  before['instances.renew'] = refuse;
  before['instances.announce'] = ({ id: next }: InstanceLease) => refuse(next);
  await views[0]?.instances.leave(id);
}

/** A hook that delays calls until it is opened. */
export function gate(): {
  readonly hook: () => Promise<void> | undefined;
  readonly waiting: number;
  open(): void;
} {
  let open!: () => void;
  const opened = new Promise<void>((resolve) => (open = resolve));
  let isOpen = false;
  let waiting = 0;
  return {
    hook: () => {
      if (isOpen) return undefined;
      waiting += 1;
      return opened;
    },
    get waiting() {
      return waiting;
    },
    open: () => {
      isOpen = true;
      open();
    },
  };
}
