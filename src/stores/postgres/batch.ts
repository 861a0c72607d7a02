/**
 * Writes that go to the server together: what one turn asks for, and what is asked for while the one before is under way.
 *
 * Writes of different sessions do not meet, those of one session keep their order. So a batch is a few waves, in each of
 * which every session has one write, or appends to streams that differ; all appends of a wave are one statement. Where there
 * is more than one statement it is a transaction, and every session's row is locked first, in the order of the ids: two
 * batches never wait for each other.
 */
import { Append, appendValues, partsOf } from './append.ts';
import { connectionStatements } from './connection-statements.ts';
import type { AppendParts } from './log-statements.ts';
import type { PgResult, Statement, Value } from './pg.ts';

/** One statement with its values. */
export type Step = readonly [statement: Statement, values: readonly Value[]];

/** Anything but an append, of one session. */
export interface Operation<T> {
  readonly session: string;
  /** It judges whether an owner is dead. */
  readonly judges: boolean;
  readonly steps: readonly Step[];
  outcome(results: readonly PgResult[]): T;
}

export interface Write {
  readonly deployment: string;
  readonly what: Append | Operation<unknown>;
  resolve(outcome: unknown): void;
  reject(error: unknown): void;
}

/** What the statements of every batch are. */
export interface BatchStatements {
  append(parts: AppendParts): Statement;
  readonly lockSessions: Statement;
  readonly buryLate: Statement;
}

/** What was asked for with one statement or a few, and who waits for it. */
interface Part {
  readonly steps: readonly Step[];
  tell(results: readonly PgResult[]): void;
}

/** The appends of one deployment in one wave: each with those who wait for it. */
type Appends = Map<Append, Write[]>;

class Wave {
  readonly appends = new Map<string, Appends>();
  readonly operations: Write[] = [];
}

/** The last wave that has something of a session: of any kind, and of its streams. */
interface Place {
  any: number;
  whole: number;
  readonly streams: Map<string, Writing>;
}
interface Writing {
  wave: number;
  append: Append;
}

export class Batch {
  readonly writes: readonly Write[];
  readonly #statements: BatchStatements;
  readonly #waves: Wave[] = [];
  readonly #places = new Map<string, Place>();

  constructor(writes: readonly Write[], statements: BatchStatements) {
    this.writes = writes;
    this.#statements = statements;
    for (const write of writes) this.#add(write);
  }

  #add(write: Write): void {
    const { deployment, what } = write;
    const session = what instanceof Append ? what.sessionId : what.session;
    const key = `${deployment} ${session}`;
    let place = this.#places.get(key);
    if (place === undefined) this.#places.set(key, (place = { any: -1, whole: -1, streams: new Map() }));
    if (what instanceof Append) this.#addAppend(write, what, place);
    else {
      place.any += 1;
      place.whole = place.any;
      place.streams.clear();
      this.#wave(place.any).operations.push(write);
    }
  }

  #addAppend(write: Write, given: Append, place: Place): void {
    const { deployment } = write;
    // The batch may have to be taken apart again.
    const append = given.copy();
    const names = append.streams();
    const before = names.flatMap((name) => place.streams.get(name) ?? []);
    const [only] = before;
    if (only !== undefined && before.length === 1 && only.append.join(append)) {
      this.#wave(only.wave).appends.get(deployment)?.get(only.append)?.push(write);
      return;
    }
    const wave = Math.max(place.whole, ...before.map((writing) => writing.wave)) + 1;
    let appends = this.#wave(wave).appends.get(deployment);
    if (appends === undefined) this.#wave(wave).appends.set(deployment, (appends = new Map()));
    appends.set(append, [write]);
    for (const name of names) place.streams.set(name, { wave, append });
    place.any = Math.max(place.any, wave);
  }

  #wave(n: number): Wave {
    return (this.#waves[n] ??= new Wave());
  }

  /** Everything that is to be sent, in order, and who is to be told the answers. */
  plan(): Part {
    const parts = this.#waves.flatMap((wave) => [
      ...[...wave.appends].map(([deployment, appends]) => this.#appendPart(deployment, appends)),
      ...wave.operations.map(operationPart),
    ]);
    const judging = this.writes.filter(({ what }) => !(what instanceof Append) && what.judges);
    const before: Step[] = [...new Set(judging.map(({ deployment }) => deployment))].map((deployment) => [
      this.#statements.buryLate,
      [deployment],
    ]);
    const after: Step[] = [];
    if (parts.length > 1) {
      before.push([connectionStatements.begin, []], ...this.#locks());
      after.push([connectionStatements.commit, []]);
    }
    return {
      steps: [...before, ...parts.flatMap(({ steps }) => steps), ...after],
      tell(results) {
        let at = before.length;
        for (const { steps, tell } of parts) {
          tell(results.slice(at, at + steps.length));
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
      ids.add(what instanceof Append ? what.sessionId : what.session);
    }
    const inOrder = [...sessions].sort(([a], [b]) => (a < b ? -1 : 1));
    return inOrder.map(([deployment, ids]) => [this.#statements.lockSessions, [deployment, [...ids]]]);
  }

  #appendPart(deployment: string, appends: Appends): Part {
    const all = [...appends];
    const given = all.map(([append]) => append);
    return {
      steps: [[this.#statements.append(partsOf(given)), [deployment, ...appendValues(given)]]],
      tell([result]) {
        const written = new Set(result?.rows.map(([ord]) => Number(ord)));
        for (const [n, [, writes]] of all.entries()) {
          const outcome = written.has(n + 1) ? 'written' : 'fenced';
          for (const write of writes) write.resolve(outcome);
        }
      },
    };
  }
}

function operationPart(write: Write): Part {
  const operation = write.what as Operation<unknown>;
  return {
    steps: operation.steps,
    tell(results) {
      try {
        write.resolve(operation.outcome(results));
      } catch (error) {
        write.reject(error);
      }
    },
  };
}
