/** What messages of both eras have in common here: envelopes, capabilities, log levels. */
import {
  CLIENT_CAPABILITIES_META_KEY,
  CLIENT_INFO_META_KEY,
  LOG_LEVEL_META_KEY,
  PROTOCOL_VERSION_META_KEY,
  SUBSCRIPTION_ID_META_KEY,
} from '@modelcontextprotocol/server';
import { isObject, LOG_LEVELS } from '../base/protocol/jsonrpc.ts';
import { methodOf, methods, roleOf } from '../base/protocol/methods.ts';
import { BUILD_VERSION, MODERN_VERSION } from '../base/protocol/versions.ts';
import type { RpcParams } from './child.ts';

/** What a child of 2025 gets at its start. */
export interface ChildHandshake {
  readonly protocolVersion: string;
  readonly capabilities: object;
  readonly clientInfo: object;
}

/** How the gateway names itself where no client speaks. */
export const OWN_INFO = { name: 'sojourn-stdio', version: BUILD_VERSION };
export const LATEST_LEGACY = '2025-11-25';

export const ownHandshake = (
  capabilities: object = {},
  clientInfo: object = OWN_INFO,
): ChildHandshake => ({
  protocolVersion: LATEST_LEGACY,
  capabilities,
  clientInfo,
});

/** The `_meta` of a request of 2026-07-28. */
export const envelopeOf = (
  capabilities: object = {},
  clientInfo: object = OWN_INFO,
  level?: string,
): Record<string, unknown> => ({
  [PROTOCOL_VERSION_META_KEY]: MODERN_VERSION,
  [CLIENT_INFO_META_KEY]: clientInfo,
  [CLIENT_CAPABILITIES_META_KEY]: capabilities,
  ...(level !== undefined && { [LOG_LEVEL_META_KEY]: level }),
});

/**
 * What clients can be asked, and its variants. A child learns of nothing else: each request could
 * name more.
 */
const ASKED: Readonly<Record<string, readonly string[]>> = {
  elicitation: ['form', 'url'],
  sampling: ['context', 'tools'],
  roots: [],
};
const NAME_LENGTH = 100;

/** What the envelope of a request says of its client. */
export function clientIn(envelope: RpcParams) {
  const given = envelope?.[CLIENT_CAPABILITIES_META_KEY];
  const info = envelope?.[CLIENT_INFO_META_KEY];
  const level = envelope?.[LOG_LEVEL_META_KEY];
  const { name, version } = isObject(info) ? info : OWN_INFO;
  const short = (text: unknown): string => String(text).slice(0, NAME_LENGTH);
  return {
    capabilities: isObject(given) ? askedOf(given) : {},
    info: { name: short(name), version: short(version) },
    level: typeof level === 'string' ? level : undefined,
  };
}

function askedOf(
  capabilities: Readonly<Record<string, unknown>>,
): Readonly<Record<string, object>> {
  const asked = Object.entries(ASKED).flatMap(([name, variants]) => {
    const given = capabilities[name];
    if (!isObject(given)) return [];
    const known = variants.filter((variant) => isObject(given[variant]));
    return [[name, Object.fromEntries(known.map((variant) => [variant, {}]))] as const];
  });
  return Object.fromEntries(asked);
}

/** The requests that 2026-07-28 may answer with a question, and the capability that has them. */
export const ASKING_METHODS: Readonly<Record<string, string>> = Object.fromEntries(
  [...methods].flatMap(([method, { hasEffect, names }]) =>
    hasEffect === true && names !== undefined ? [[method, `${names.kind}s`]] : [],
  ),
);

/** A notification that belongs to a session or a subscription, and to no call. */
export const isOfNoCall = (method: string): boolean =>
  methodOf(method).changes !== undefined || roleOf(method) === 'updated';

/** What a child of 2026-07-28 tells a subscription: its id is that of the gateway's own request. */
export function withoutSubscription(params: RpcParams): RpcParams {
  const meta = params?.['_meta'];
  if (!isObject(meta) || !(SUBSCRIPTION_ID_META_KEY in meta)) return params;
  const { [SUBSCRIPTION_ID_META_KEY]: _, ...kept } = meta;
  return { ...params, _meta: Object.keys(kept).length === 0 ? undefined : kept };
}

/** A log message whose level is less than the least that is wanted. */
export const isBelow = (method: string, params: RpcParams, least: string | undefined): boolean =>
  roleOf(method) === 'log' &&
  least !== undefined &&
  LOG_LEVELS.indexOf(String(params?.['level'])) < LOG_LEVELS.indexOf(least);
