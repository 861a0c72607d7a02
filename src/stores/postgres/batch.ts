/**
 * Writes that go to the server together: the writes of one turn, and those requested while the batch before is running.
 *
 * Writes of different records are independent; writes of one record keep their order. So a batch is a few waves. In
 * each wave every record has one write, or appends to different streams. All appends of a wave are one statement, and
 * all its claims are two: an update and a read. A batch that changes several rows of records is a transaction that
 * first locks them in the order of the ids. So two batches never deadlock.
 */
import { JoinedAppend } from '../shared/joined-append.ts';
import { appendValues, partsOf, streamsOf } from './append.ts';
import { type Claim, type ClaimStatements, claimSteps } from './claim.ts';
import { connectionStatements } from './connection-statements.ts';
import type { AppendParts } from './log-statements.ts';
import type { PgResult, Statement, Step } from './pg.ts';

/** A write of one record that is neither an append nor a claim. */
export interface Operation<T> {
  readonly kind: 'operation';
  readonly id: string;
  readonly steps: readonly Step[];
  outcome(results: readonly PgResult[]): T;
}

export interface Write {
  readonly space: string;
  readonly what: JoinedAppend | Claim | Operation<unknown>;
  resolve(outcome: unknown): void;
  reject(error: unknown): void;
}

/** The statements that every batch uses. */
export interface BatchStatements extends ClaimStatements {
  append(parts: AppendParts): Statement;
  readonly lockRecords: Statement;
}

/** The statements of one write, or of several appends or claims, and the callback for their results. */
interface Part {
  readonly steps: readonly Step[];
  settle(results: readonly PgResult[]): void;
}

/** The appends of one space in one wave, each with the writes that wait for it. */
type Appends = Map<JoinedAppend, Write[]>;

/** The claims of one space in one wave. */
type Claims = Array<readonly [Claim, Write]>;

class Wave {
  readonly appends = new Map<string, Appends>();
  readonly claims = new Map<string, Claims>();
  readonly operations: Write[] = [];
}

/** The last wave that has a write of a record: of any kind, and of each of its streams. */
interface RecordProgress {
  any: number;
  whole: number;
  readonly streams: Map<string, LastAppend>;
}
interface LastAppend {
  wave: number;
  append: JoinedAppend;
}

export class Batch {
  readonly writes: readonly Write[];
  readonly #statements: BatchStatements;
  readonly #waves: Wave[] = [];
  readonly #progress = new Map<string, RecordProgress>();

  constructor(writes: readonly Write[], statements: BatchStatements) {
    this.writes = writes;
    this.#statements = statements;
    for (const write of writes) this.#add(write);
  }

  #add(write: Write): void {
    const { space, what } = write;
    const key = `${space} ${what.id}`;
    let progress = this.#progress.get(key);
    if (progress === undefined) this.#progress.set(key, (progress = { any: -1, whole: -1, streams: new Map() }));
    if (what instanceof JoinedAppend) this.#addAppend(write, what, progress);
    else {
      progress.any += 1;
      progress.whole = progress.any;
      progress.streams.clear();
      const wave = this.#wave(progress.any);
      if (what.kind === 'operation') wave.operations.push(write);
      else {
        const claims = wave.claims.get(space);
        if (claims === undefined) wave.claims.set(space, [[what, write]]);
        else claims.push([what, write]);
      }
    }
  }

  #addAppend(write: Write, given: JoinedAppend, progress: RecordProgress): void {
    const { space } = write;
    // A copy: the batch may have to be sent again write by write.
    const append = new JoinedAppend(given);
    const names = streamsOf(append);
    const before = names.flatMap((name) => progress.streams.get(name) ?? []);
    const [only] = before;
    if (only !== undefined && before.length === 1 && only.append.join(append)) {
      this.#wave(only.wave).appends.get(space)?.get(only.append)?.push(write);
      return;
    }
    const wave = Math.max(progress.whole, ...before.map((last) => last.wave)) + 1;
    let appends = this.#wave(wave).appends.get(space);
    if (appends === undefined) this.#wave(wave).appends.set(space, (appends = new Map()));
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
      ...[...wave.appends].map(([space, appends]) => this.#appendPart(space, appends)),
      ...[...wave.claims].map(([space, claims]) => this.#claimPart(space, claims)),
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
    const records = new Map<string, Set<string>>();
    for (const { space, what } of this.writes) {
      let ids = records.get(space);
      if (ids === undefined) records.set(space, (ids = new Set()));
      ids.add(what.id);
    }
    const inOrder = [...records].sort(([a], [b]) => (a < b ? -1 : 1));
    return inOrder.map(([space, ids]) => [this.#statements.lockRecords, [space, [...ids]]]);
  }

  #appendPart(space: string, appends: Appends): Part {
    const all = [...appends];
    const given = all.map(([append]) => append);
    return {
      steps: [[this.#statements.append(partsOf(given)), [space, ...appendValues(given)]]],
      settle([result]) {
        const written = new Set(result?.rows.map(([ord]) => Number(ord)));
        for (const [n, [, writes]] of all.entries()) {
          const outcome = written.has(n + 1) ? 'written' : 'fenced';
          for (const write of writes) write.resolve(outcome);
        }
      },
    };
  }

  #claimPart(space: string, claims: Claims): Part {
    const given = claims.map(([claim]) => claim);
    return {
      steps: claimSteps(space, given, this.#statements),
      settle([, read]) {
        const rows = new Map(read?.rows.map((row) => [row[0], row]));
        for (const [{ id }, write] of claims) write.resolve(rows.get(id));
      },
    };
  }
}

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
