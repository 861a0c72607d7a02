/**
 * A store whose calls are timed, each with a notice. Only endpoints whose details are listened to have one, and not on
 * the memory store, where a call takes no time.
 */
import type { Notices } from '../observe/notices.ts';
import type { EndpointStore } from '../session/record/record-kinds.ts';
import type { AppendRequest } from '../stores/store.ts';
import type { TimeProvider } from '../types.ts';

interface TimedOptions {
  readonly notices: Notices;
  readonly timeProvider: Required<TimeProvider>;
}

type Method = (...given: unknown[]) => unknown;

export function timedStore(store: EndpointStore, options: TimedOptions): EndpointStore {
  return {
    ...store,
    sessions: timed('sessions', store.sessions, options),
    once: timed('once', store.once, options),
    tasks: timed('tasks', store.tasks, options),
    steps: timed('steps', store.steps, options),
    figures: timed('figures', store.figures, options),
    instances: timed('instances', store.instances, options),
  };
}

function timed<T extends object>(part: string, of: T, options: TimedOptions): T {
  const methods = new Map<PropertyKey, unknown>();
  const timing: ProxyHandler<T> = {
    get(_, name) {
      const known = methods.get(name);
      if (known !== undefined) return known;
      const own: unknown = Reflect.get(of, name);
      if (typeof own !== 'function') return own;
      const method = timedMethod(part, String(name), own as Method, of, options);
      methods.set(name, method);
      return method;
    },
  };
  return new Proxy(of, timing);
}

function timedMethod(part: string, name: string, own: Method, of: object, options: TimedOptions): Method {
  const { notices, timeProvider: time } = options;
  return (...given) => {
    const began = time.monotonic();
    const done = (failed: boolean): void => {
      const operation = `${part}.${operationOf(name, given[0])}`;
      notices.detail({ kind: 'storeCall', operation, ms: time.monotonic() - began, failed });
    };
    return followCall(
      () => own.apply(of, given),
      () => done(false),
      () => done(true),
    );
  };
}

/** What `run` returns, of which one of the others hears: in this turn where the store answers or fails in it. */
export function followCall(
  run: () => unknown,
  succeeded: (result: unknown) => void,
  failed: (err: unknown) => void,
): unknown {
  let outcome: unknown;
  try {
    outcome = run();
  } catch (err) {
    failed(err);
    throw err;
  }
  if (outcome instanceof Promise) outcome.then(succeeded, failed);
  else succeeded(outcome);
  return outcome;
}

/** Marks alone are an append without a stream. */
export function operationOf(name: string, about: unknown): string {
  return name === 'append' && (about as AppendRequest).stream === null ? 'mark' : name;
}
