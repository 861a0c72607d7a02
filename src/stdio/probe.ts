/**
 * What a program is: asked once, at the start, of a child that serves no client.
 *
 *     server/discover ──an answer with 2026-07-28──▶ modern
 *           ├──an error, or no answer──▶ initialize in the same child ──▶ legacy
 *           └──the child ends, or refuses that──▶ initialize in another child ──▶ legacy
 */
import { SERVER_INFO_META_KEY } from '@modelcontextprotocol/server';
import { within } from '../base/system.ts';
import { MODERN_VERSION } from '../base/protocol/versions.ts';
import { AnswerError } from '../base/errors/answer-error.ts';
import { type Child, ChildEnded, type Result } from './child.ts';
import { initialize } from './handshake.ts';
import type { Tenant } from './place.ts';
import type { Pool } from './pool.ts';
import { type ChildHandshake, envelopeOf, ownHandshake } from './wire.ts';

export type ChildEra = 'legacy' | 'modern';

export interface Described {
  readonly era: ChildEra;
  readonly serverInfo: { readonly name: string; readonly version: string };
  readonly capabilities: Readonly<Record<string, unknown>>;
  readonly instructions?: string;
}

export interface Probed {
  readonly described: Described;
  /** Pages of its list of tools. */
  readonly lists: readonly Result[];
  /** Why no more is known of its tools. */
  readonly unlisted?: string | undefined;
}

/** The first child may have to be downloaded: `npx` and `uvx` do that. */
const FIRST_START = 5;
/** A busy machine takes seconds to start Python. A child of 2025 answers this with an error. */
const DISCOVER_MS = 10_000;
const MOST_PAGES = 100;

/** Rejects with `ChildEnded` if the program does not start. */
export async function probe(
  pool: Pool,
  tenant: Tenant,
  era: ChildEra | undefined,
): Promise<Probed> {
  const found =
    era === 'legacy'
      ? undefined
      : await inChild(pool, { ...tenant, isTrial: era === undefined }, undefined, async (child) => {
          const modern = await discovered(pool, child, era === 'modern');
          return modern ?? (child.isOpen ? greeted(pool, child) : undefined);
        });
  return (
    found ??
    inChild(pool, tenant, ownHandshake(), (child, answer) => probed(pool, child, 'legacy', answer))
  );
}

/** Whether a program of 2026-07-28 takes `initialize` too. Rejects with `ChildEnded` if it does not start. */
export const takesHandshake = (pool: Pool, tenant: Tenant): Promise<boolean> =>
  inChild(pool, tenant, ownHandshake(), async () => true).catch((cause: unknown) => {
    if (cause instanceof AnswerError) return false;
    throw cause;
  });

async function inChild<Found>(
  pool: Pool,
  tenant: Tenant,
  handshake: ChildHandshake | undefined,
  ask: (child: Child, answer: Result) => Promise<Found>,
): Promise<Found> {
  const place = pool.place(tenant, handshake, true);
  const release = place.lease();
  try {
    const child = await place.ready(undefined, FIRST_START);
    return await ask(child, place.answer ?? {});
  } finally {
    release();
    void pool.remove(place);
  }
}

/** `undefined`: the program speaks no revision without a handshake. */
async function discovered(pool: Pool, child: Child, isSure: boolean): Promise<Probed | undefined> {
  const answer = await answerOf(pool, child, isSure);
  return answer && probed(pool, child, 'modern', answer, { _meta: envelopeOf() });
}

/** `undefined`: a child that was asked what it is takes no handshake any more. */
async function greeted(pool: Pool, child: Child): Promise<Probed | undefined> {
  const { time, startMs } = pool.options;
  const asked = initialize(child, ownHandshake()).catch(() => undefined);
  const answer = await within(time, startMs, asked, () => undefined);
  if (answer === undefined) return undefined;
  child.notify('notifications/initialized');
  return probed(pool, child, 'legacy', answer);
}

async function probed(
  pool: Pool,
  child: Child,
  era: ChildEra,
  answer: Result,
  params = {},
): Promise<Probed> {
  pool.measure(child);
  const described = describedBy(era, answer);
  const { time, startMs } = pool.options;
  const lists: Result[] = [];
  const listing = listTools(child, described, params, lists);
  const unlisted = await within(time, startMs, listing, () => `no answer within ${startMs} ms`);
  return { described, lists, unlisted };
}

async function answerOf(pool: Pool, child: Child, isSure: boolean): Promise<Result | undefined> {
  const { time, startMs } = pool.options;
  const ms = isSure ? startMs * FIRST_START : DISCOVER_MS;
  const late = (): never => {
    throw new ChildEnded(`${child.name} did not answer server/discover in ${ms} ms`, child.stderr);
  };
  try {
    const asked = child.request('server/discover', { _meta: envelopeOf() });
    const answer = await within(time, ms, asked, late);
    const versions = answer['supportedVersions'];
    if (Array.isArray(versions) && versions.includes(MODERN_VERSION)) return answer;
    if (isSure) throw new ChildEnded(`${child.name} does not speak ${MODERN_VERSION}`, '');
  } catch (cause) {
    if (isSure) throw cause;
  }
  return undefined;
}

function describedBy(era: ChildEra, answer: Result): Described {
  const { serverInfo, capabilities, instructions, _meta } = answer;
  const info = serverInfo ??
    Object(_meta)[SERVER_INFO_META_KEY] ?? { name: 'unnamed', version: '0' };
  return {
    era,
    serverInfo: info as Described['serverInfo'],
    capabilities: (capabilities ?? {}) as Described['capabilities'],
    ...(typeof instructions === 'string' && { instructions }),
  };
}

/** Adds what the program lists to `lists`, and returns why that is not all. */
async function listTools(
  child: Child,
  { capabilities }: Described,
  params: object,
  lists: Result[],
): Promise<string | undefined> {
  if (!('tools' in capabilities)) return undefined;
  let cursor: unknown;
  try {
    do {
      const asked = { ...params, ...(cursor !== undefined && { cursor }) };
      const list = await child.request('tools/list', asked);
      lists.push(list);
      cursor = list['nextCursor'];
    } while (cursor !== undefined && lists.length < MOST_PAGES);
    return undefined;
  } catch (cause) {
    if (cause instanceof AnswerError) return cause.message;
    throw cause;
  }
}
