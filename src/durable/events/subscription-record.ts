/**
 * The record of a subscription with a callback. Its body is what never changes, its fields are the secrets, and its head
 * is how far its callback is (`subscription.ts`). No instance owns it.
 */
import type { EventData } from '../../base/options/events-options.ts';
import type { StoredRecord } from '../../stores/store.ts';

const ROTATION_MS = 600_000;

export const SECRET = 's';
/** `<until, ms> <secret>` */
export const OLD_SECRET = 'o';

/** Since when its callback fails, in ms since 1970, why, and whether it is suspended. Absent: it does not fail. */
export const FAILURE = 'f';

export interface DeliveryFailure {
  readonly since: number;
  readonly why: string;
  readonly isSuspended: boolean;
}

export const failureText = (why: string, since: number, isSuspended: boolean): string =>
  `${since} ${why} ${isSuspended ? 1 : 0}`;

/** `undefined`: its callback takes its events, as far as the store knows. */
export function failureOf({ fields }: Pick<StoredRecord, 'fields'>): DeliveryFailure | undefined {
  const [since = '', why, suspended] = fields[FAILURE]?.split(' ') ?? [];
  return why === undefined
    ? undefined
    : { since: Number(since), why, isSuspended: suspended === '1' };
}

export interface SubscriptionBody {
  readonly name: string;
  readonly args: EventData;
  readonly url: string;
  /** Events up to this number happened before it. */
  readonly after: number;
}

export const bodyOf = ({ body }: Pick<StoredRecord, 'body'>): SubscriptionBody =>
  JSON.parse(body) as SubscriptionBody;

/** The secrets that sign now: for 10 minutes the one before, too. */
export function secretsOf(secret: string, old: string | undefined, now: number): readonly string[] {
  const [until, text] = (old ?? '').split(' ');
  return text !== undefined && Number(until) > now ? [secret, text] : [secret];
}

/** What changes in the fields when a client gives another secret. */
export function rotated(
  { fields }: StoredRecord,
  secret: string,
  now: number,
): Record<string, string> {
  const before = fields[SECRET] ?? '';
  if (before === secret) return {};
  return { [SECRET]: secret, [OLD_SECRET]: `${now + ROTATION_MS} ${before}` };
}
