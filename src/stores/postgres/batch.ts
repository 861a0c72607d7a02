/**
 * Writes that go to the server together: the writes of one turn, and those requested while the batch before is running.
 *
 * Writes of different sessions are independent; writes of one session keep their order. So a batch is a few waves. In
 * each wave every session has one write, or appends to different streams. All appends of a wave are one statement, and
 * all its claims are two: an update and a read. A batch that changes several rows of sessions is a transaction that
 * first locks them in the order of the ids. So two batches never deadlock.
 */
import { Append, appendValues, partsOf } from './append.ts';
import { type Claim, type ClaimStatements, claimSteps } from './claim.ts';
import { connectionStatements } from './connection-statements.ts';
import type { AppendParts } from './log-statements.ts';
import type { PgResult, Statement, Step } from './pg.ts';

/** A write of one session that is neither an append nor a claim. */
export interface Operation<T> {
  readonly kind: 'operation';
  readonly session: string;
  readonly steps: readonly Step[];
  outcome(results: readonly PgResult[]): T;
}

export interface Write {
  readonly deployment: string;
  readonly what: Append | Claim | Operation<unknown>;
  resolve(outcome: unknown): void;
  reject(error: unknown): void;
}

/** The statements that every batch uses. */
export interface BatchStatements extends ClaimStatements {
  append(parts: AppendParts): Statement;
  readonly lockSessions: Statement;
}

/** The statements of one write, or of several appends or claims, and the callback for their results. */
interface Part {
  readonly steps: readonly Step[];
  settle(results: readonly PgResult[]): void;
}

/** The appends of one deployment in one wave, each with the writes that wait for it. */
type Appends = Map<Append, Write[]>;

/** The claims of one deployment in one wave. */
type Claims = Array<readonly [Claim, Write]>;

class Wave {
  readonly appends = new Map<string, Appends>();
  readonly claims = new Map<string, Claims>();
  readonly operations: Write[] = [];
}

/** The last wave that has a write of a session: of any kind, and of each of its streams. */
interface SessionProgress {
  any: number;
  whole: number;
  readonly streams: Map<string, LastAppend>;
}
interface LastAppend {
  wave: number;
  append: Append;
}

export class Batch {
  readonly writes: readonly Write[];
  readonly #statements: BatchStatements;
  readonly #waves: Wave[] = [];
  readonly #progress = new Map<string, SessionProgress>();

  constructor(writes: readonly Write[], statements: BatchStatements) {
    this.writes = writes;
    this.#statements = statements;
    for (const write of writes) this.#add(write);
  }

  #add(write: Write): void {
    const { deployment, what } = write;
    const key = `${deployment} ${sessionOf(what)}`;
    let progress = this.#progress.get(key);
    if (progress === undefined) this.#progress.set(key, (progress = { any: -1, whole: -1, streams: new Map() }));
    if (what instanceof Append) this.#addAppend(write, what, progress);
    else {
      progress.any += 1;
      progress.whole = progress.any;
      progress.streams.clear();
      const wave = this.#wave(progress.any);
      if (what.kind === 'operation') wave.operations.push(write);
      else {
        const claims = wave.claims.get(deployment);
        if (claims === undefined) wave.claims.set(deployment, [[what, write]]);
        else claims.push([what, write]);
      }
    }
  }

  #addAppend(write: Write, given: Append, progress: SessionProgress): void {
    const { deployment } = write;
    // A copy: the batch may have to be sent again write by write.
    const append = given.copy();
    const names = append.streams();
    const before = names.flatMap((name) => progress.streams.get(name) ?? []);
    const [only] = before;
    if (only !== undefined && before.length === 1 && only.append.join(append)) {
      this.#wave(only.wave).appends.get(deployment)?.get(only.append)?.push(write);
      return;
    }
    const wave = Math.max(progress.whole, ...before.map((last) => last.wave)) + 1;
    let appends = this.#wave(wave).appends.get(deployment);
    if (appends === undefined) this.#wave(wave).appends.set(deployment, (appends = new Map()));
    appends.set(append, [write]);
    for (const name of names) progress.streams.set(name, { wave, append });
    progress.any = Math.max(progress.any, wave);
  }

  #wave(n: number): Wave {
    return (this.#waves[n] ??= new Wave());
  }

  /** All statements in order, and the callback for their results. */
  plan(): Part {
    const parts = this.#waves.flatMap((wave) => [
      ...[...wave.appends].map(([deployment, appends]) => this.#appendPart(deployment, appends)),
      ...[...wave.claims].map(([deployment, claims]) => this.#claimPart(deployment, claims)),
      ...wave.operations.map(operationPart),
    ]);
    const before: Step[] = [];
    const after: Step[] = [];
    const claimsSeveral = this.#waves.some(({ claims }) => [...claims.values()].some((of) => of.length > 1));
    if (parts.length > 1 || claimsSeveral) {
      before.push([connectionStatements.begin, []], ...this.#locks());
      after.push([connectionStatements.commit, []]);
    }
    return {
      steps: [...before, ...parts.flatMap(({ steps }) => steps), ...after],
      settle(results) {
        let at = before.length;
        for (const { steps, settle } of parts) {
          settle(results.slice(at, at + steps.length));
          at += steps.length;
        }
      },
    };
  }

  #locks(): Step[] {
    const sessions = new Map<string, Set<string>>();
    for (const { deployment, what } of this.writes) {
      let ids = sessions.get(deployment);
      if (ids === undefined) sessions.set(deployment, (ids = new Set()));
      ids.add(sessionOf(what));
    }
    const inOrder = [...sessions].sort(([a], [b]) => (a < b ? -1 : 1));
    return inOrder.map(([deployment, ids]) => [this.#statements.lockSessions, [deployment, [...ids]]]);
  }

  #appendPart(deployment: string, appends: Appends): Part {
    const all = [...appends];
    const given = all.map(([append]) => append);
    return {
      steps: [[this.#statements.append(partsOf(given)), [deployment, ...appendValues(given)]]],
      settle([result]) {
        const written = new Set(result?.rows.map(([ord]) => Number(ord)));
        for (const [n, [, writes]] of all.entries()) {
          const outcome = written.has(n + 1) ? 'written' : 'fenced';
          for (const write of writes) write.resolve(outcome);
        }
      },
    };
  }

  #claimPart(deployment: string, claims: Claims): Part {
    const given = claims.map(([claim]) => claim);
    return {
      steps: claimSteps(deployment, given, this.#statements),
      settle([, read]) {
        const rows = new Map(read?.rows.map((row) => [row[0], row]));
        for (const [{ session }, write] of claims) write.resolve(rows.get(session));
      },
    };
  }
}

const sessionOf = (what: Write['what']): string => (what instanceof Append ? what.sessionId : what.session);

function operationPart(write: Write): Part {
  const operation = write.what as Operation<unknown>;
  return {
    steps: operation.steps,
    settle(results) {
      try {
        write.resolve(operation.outcome(results));
      } catch (error) {
        write.reject(error);
      }
    },
  };
}
