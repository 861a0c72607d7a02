/**
 * `sojourn events ls | show | check | end`: subscriptions with a callback. Secrets are not printed, nor what follows the
 * path in a URL.
 */
import { base64url, systemRandom } from '../../base/system.ts';
import { userName } from '../../base/shown.ts';
import { shownId, tellDispatcher } from '../../durable/events/event-store.ts';
import { verification } from '../../durable/events/event-wire.ts';
import { bodyOf, failureOf, SECRET } from '../../durable/events/subscription-record.ts';
import { answersChallenge, createPost } from '../../durable/events/webhook.ts';
import type { EndpointStore } from '../../endpoint/endpoint-store.ts';
import { isEnded, type StoredRecord } from '../../stores/store.ts';
import { Failure } from '../failure.ts';
import type { RecordKind, RecordRequest } from './commands.ts';
import { recordOf, summaries } from './opened-store.ts';
import { requireYes, timestamp } from './printing.ts';

function summary(record: StoredRecord) {
  const { id, user, head, createdAt, expiresAt } = record;
  const { name: event, url } = bodyOf(record);
  const failure = failureOf(record);
  const state = failure?.isSuspended === true ? 'suspended' : head === '' ? 'live' : 'behind';
  return {
    subscription: shownId(id),
    id,
    event,
    status: state,
    ...(failure && { lastError: failure.why, failedAt: failure.since }),
    createdAt,
    expiresAt,
    host: new URL(url).host,
    ...(user !== null && { userKey: user, userName: userName(user) }),
  };
}

export const events: RecordKind<ReturnType<typeof summary>> = {
  noun: 'subscription',
  columns: [
    'SUBSCRIPTION',
    'EVENT',
    'STATE',
    'LAST ERROR',
    'FAILS SINCE',
    'EXPIRES',
    'HOST',
    'USER',
  ],
  widths: [26, 20, 9, 18, 20, 20, 24],
  cells({ subscription, event, status, expiresAt, host, ...rest }) {
    const { lastError = '-', failedAt, userName: name = '-' } = rest;
    const since = failedAt === undefined ? '-' : timestamp(failedAt);
    const expires = expiresAt === null ? '-' : timestamp(expiresAt);
    return [subscription, event, status, lastError, since, expires, host, name];
  },
  ls: (store, request) => summaries(store, 'subscriptions', summary, request),

  async show(store, { names }) {
    const found = await living(store, names[0]);
    const { url, args } = bodyOf(found);
    const { origin, pathname } = new URL(url);
    const { id: _, host: __, ...rest } = summary(found);
    return { ...rest, url: origin + pathname, arguments: args };
  },

  async act(store, request) {
    const found = await living(store, request.names[0]);
    return request.verb === 'check' ? check(found, request) : end(store, request, found);
  },
};

async function living(store: EndpointStore, name: string | undefined): Promise<StoredRecord> {
  const found = await recordOf(store, 'subscriptions', name);
  if (isEnded(found)) throw new Failure(`this subscription has ended at ${timestamp(found.at)}`);
  return found;
}

/** A challenge, as at the subscription. */
async function check(found: StoredRecord, { options }: RecordRequest): Promise<string> {
  const url = new URL(bodyOf(found).url);
  const challenge = base64url(systemRandom(32));
  const posted = await createPost(options.timeProvider)({
    url,
    message: verification(shownId(found.id), base64url(systemRandom(12)), challenge),
    secrets: [found.fields[SECRET] ?? ''],
    now: options.timeProvider.now(),
    // An endpoint takes such a URL for a callback that it trusts alone.
    isTrusted: url.protocol === 'http:',
  });
  if (!posted.ok) throw new Failure(`the callback at ${url.host} does not answer: ${posted.why}`);
  if (!answersChallenge(posted.body, challenge))
    throw new Failure(`the callback at ${url.host} does not answer: challenge_failed`);
  return `the callback at ${url.host} has answered the challenge`;
}

async function end(
  store: EndpointStore,
  request: RecordRequest,
  found: StoredRecord,
): Promise<string> {
  const shown = await events.show(store, request);
  requireYes(shown, 'With --yes it ends, and its client has to subscribe again', request);
  if ((await store.subscriptions.end(found.id, found, '', 0)) !== 'ended')
    throw new Failure('the subscription was changed since: look at it again');
  await tellDispatcher(store.emits, found.id, request.options.timeProvider.now());
  return `ended ${shownId(found.id)}`;
}
