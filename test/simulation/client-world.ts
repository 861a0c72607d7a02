/** What a client is in: a simulated world, or a deployment of real processes (`test/chaos`). */
import type { HttpRequest, Response, SseEvent } from './exchange.ts';
import type { Ledger, SessionStory } from './ledger.ts';
import type { Scheduler } from './scheduler.ts';

export interface ClientWorld {
  readonly now: number;
  /** The same by the store's clock. */
  readonly storeNow: number;
  readonly ledger: Ledger;
  readonly scheduler: Pick<Scheduler, 'sleep' | 'after' | 'cancel'>;
  /** Where requests can be sent to. */
  readonly slots: { readonly length: number };
  /** When clients stop acting. */
  readonly activeUntil: number;
  /** Nothing goes wrong any more. */
  readonly healed: boolean;
  /** Of its instances. */
  readonly maxWaitMs: number;
  /** How often a call is tried in calm weather: a busy machine holds real processes up for longer than their lease. */
  readonly tries: number;
  http(slot: number, request: HttpRequest, onEvent?: (event: SseEvent) => void): Response;
  /** Whether a session has ended, by its store or by what its client did. */
  hasEnded(session: string): boolean;
  note(what: string): void;
  /** What was seen to be wrong at once. */
  wrong(what: string): void;
}

/** Whether the store forgot something about a session: no guarantee covers that. */
export const isForgiven = ({ lost, vanished }: Ledger, session: string): boolean =>
  vanished.has(session) || lost.some(({ sessions }) => sessions.has(session));

/** A client was told that its session is not known. */
export function notFound(world: ClientWorld, story: SessionStory): void {
  story.notFoundAt ??= world.now;
  if (isForgiven(world.ledger, story.id) || world.hasEnded(story.id)) return;
  world.wrong(
    `${world.now.toFixed(3)} ${story.client}: 404 for session ${story.id}, which did not end`,
  );
}
