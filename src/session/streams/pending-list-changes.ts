/**
 * The `list_changed` notifications that the client of a session has not received, because the lists changed while the
 * session was live nowhere, or because a newer build restored its server. The client gets them on its next GET stream,
 * or on the stream of its next request if it has no GET stream.
 */
import type { ServerEvent } from '@modelcontextprotocol/server';
import { LIST_CHANGED } from '../../protocol/list-changed.ts';
import type { RecordKeeper } from '../record/record-keeper.ts';
import { listChangesOf } from '../record/server-answer.ts';
import type { Stream } from './stream.ts';

export class PendingListChanges {
  readonly #record: RecordKeeper;
  /** `list_changed` methods. */
  #pending: readonly string[] | undefined = undefined;

  constructor(record: RecordKeeper) {
    this.#record = record;
  }

  /** After a restore: what the rebuilt server answers to `initialize`. A deploy may have changed it. */
  answered(answer: string): void {
    if (answer === this.#record.head.answer) return;
    this.#record.change({ answer });
    this.#pending = listChangesOf(answer);
  }

  /** Adds changes that happened while the session was live nowhere. */
  missed(methods: readonly string[]): void {
    const announced = listChangesOf(this.#record.head.answer);
    const pending = new Set([...(this.#pending ?? []), ...methods.filter((method) => announced.includes(method))]);
    if (pending.size > 0) this.#pending = [...pending];
  }

  /** Messages of the GET stream were lost, so every list may have changed. */
  missedAll(): void {
    const announced = listChangesOf(this.#record.head.answer);
    if (announced.length > 0) this.#pending = announced;
  }

  get any(): boolean {
    return this.#pending !== undefined;
  }

  sendOn(stream: Stream): void {
    if (this.#pending === undefined) return;
    const pending = this.#pending;
    this.#pending = undefined;
    for (const method of pending) stream.send(JSON.stringify({ jsonrpc: '2.0', method }));
  }
}

/**
 * When this instance last learnt from the bus that a list changed. A session that was live nowhere at that time gets
 * `list_changed` when it is restored here.
 */
export class RecentListChanges {
  /** Method → ms since 1970. */
  readonly #last = new Map<string, number>();

  note(event: ServerEvent, now: number): void {
    if (event.kind !== 'resource_updated') this.#last.set(LIST_CHANGED[event.kind], now);
  }

  /** The `list_changed` methods that a session missed which was last active at `activeAt`. */
  since(activeAt: number): readonly string[] {
    const missed: string[] = [];
    for (const [method, at] of this.#last) if (at > activeAt) missed.push(method);
    return missed;
  }
}
