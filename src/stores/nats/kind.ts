/** What all parts of the records of one kind use. */
import type { Kind } from '../store.ts';
import type { ServerClock } from './clock.ts';
import type { Deadlines } from '../shared/deadlines.ts';
import type { JetStream } from './jetstream.ts';
import type { KeyedValues } from './keyed-values.ts';
import type { KindNames } from './names.ts';
import type { Parts } from './parts.ts';

export interface NatsKind {
  readonly kind: Kind;
  readonly where: string;
  readonly jetstream: JetStream;
  readonly values: KeyedValues;
  readonly names: KindNames;
  readonly parts: Parts;
  readonly clock: ServerClock;
  readonly deadlines: Deadlines;
  /** Whether this process has announced the instance and not lost its lease. */
  owns(instance: string): boolean;
  /** Makes names that no other process makes. */
  name(): string;
}
