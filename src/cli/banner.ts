/** What `serve` prints once it listens. */
import { nameOf } from '../sdk/sdk-server.ts';
import { isOlderServer } from '../sdk/server-shape.ts';
import { basename, extname } from 'node:path';
import type { ResolvedOptions } from '../base/options/endpoint-options.ts';
import type { VerifyToken } from '../base/options/auth-options.ts';
import { isExposed } from '../http/listen/exposure.ts';
import type { StoreProblem } from '../base/errors/sojourn-error.ts';
import { keyFileOf } from './key-file.ts';
import { BUILD_VERSION, isModern, servedVersions } from '../base/protocol/versions.ts';

export interface BannerFacts {
  readonly url: string;
  /** Paths of further programs. */
  readonly paths?: readonly string[];
  /** The address that is bound. */
  readonly address: string;
  readonly options: ResolvedOptions;
  /** The server, or the function that makes it. */
  readonly definition?: unknown;
  /** No warning, although other machines may reach the address. */
  readonly allowAnyone: boolean;
  /** The address of the dashboard, if it is served. */
  readonly dashboard?: string | undefined;
  /** Number of worker processes, if there are several. */
  readonly workers?: number | undefined;
  /** The URL of the store, if it outlives the process and the command names it. */
  readonly store?: string | undefined;
  /** Why it is not open. */
  readonly storeUnavailable?: StoreProblem | undefined;
  /** How a client names the server, for a reader who may copy a command: in a terminal. */
  readonly clientName?: string | undefined;
}

/** `served`: the versions of the row below, so that both rows agree. */
function modeText(mode: ResolvedOptions['sessionMode'], served: readonly string[]): string {
  const modern = served.filter(isModern);
  if (mode === 'stateless') return 'stateless: no sessions';
  if (modern.length === 0) return `${mode}: a session for every client`;
  if (modern.length === served.length) return `${mode}: no sessions, ${modern.join(', ')} has none`;
  return `${mode}: sessions for clients that initialize, ${modern.join(', ')} request by request`;
}

export function banner({
  url: bound,
  options,
  workers,
  store,
  storeUnavailable,
  ...facts
}: BannerFacts): string {
  const { address, allowAnyone, clientName, dashboard, definition, paths = [] } = facts;
  const url = clientUrl(bound, options);
  const { sessionMode, legacySse, supportedProtocolVersions } = options;
  // A server of SDK 1 serves the revisions that begin with initialize.
  const served = servedVersions(
    isOlderServer(definition) ? 'stateful' : sessionMode,
    supportedProtocolVersions,
  );
  const rows: [name: string, value: string | undefined][] = [
    ['endpoint', url],
    ...paths.map((path): [string, string] => ['', new URL(path, url).href]),
    ['old SSE', legacySse ? `${url.replace(/\/$/, '')}/sse` : undefined],
    [
      'bound to',
      `${shownAddress(address)}:${new URL(bound).port || '80'}${isOpen(address) ? EVERY_INTERFACE : ''}`,
    ],
    ['callers', callersText(options)],
    ['health', `${new URL(bound).origin}/healthz`],
    ['dashboard', dashboard],
    ['sessions', modeText(sessionMode, served)],
    ['versions', served.join(', ')],
    [
      'store',
      `${store ?? storeText(options.store)}${storeUnavailable === undefined ? '' : awayText(storeUnavailable)}`,
    ],
    ['', storeUnavailable?.what],
    ['workers', workers?.toString()],
    ['connect', clientName === undefined ? undefined : connectCommand(clientName, url, options)],
  ];
  const lines = rows.flatMap(([name, value]) =>
    value === undefined ? [] : [`  ${name.padEnd(10)}${value}`],
  );
  const warning = isExposed(address, options, allowAnyone) ? ['', ...WARNING] : [];
  return (
    ['', `sojourn ${BUILD_VERSION}`, '', ...lines, ...warning, '', '  Stop with Ctrl+C.', ''].join(
      '\n',
    ) + '\n'
  );
}

const EVERY_INTERFACE = ' (every network interface)';

/** Other machines reach this address, and callers are not checked. */
const WARNING = [
  '  ┌─ WARNING ─────────────────────────────────────────────────────────────────┐',
  '  │ Every machine that reaches this address may use this server: callers need │',
  '  │ no token. Give --auth-jwt-issuer with --auth-jwt-audience, or bind        │',
  '  │ --host 127.0.0.1, or say that you mean it: --allow-anyone.                │',
  '  └───────────────────────────────────────────────────────────────────────────┘',
];

/** An endpoint refuses a `Host` outside its list, so the URL for clients has an allowed host. */
export function clientUrl(bound: string, { allowedHosts }: ResolvedOptions): string {
  const url = new URL(bound);
  const [first] = allowedHosts ?? [];
  if (first === undefined || allowedHosts?.includes(url.hostname) === true) return bound;
  url.hostname = first;
  return url.href;
}

/** One client's command; the others are in docs/guide/connect-a-client.md. Behind a proxy clients have its URL. */
function connectCommand(name: string, url: string, { auth }: ResolvedOptions): string | undefined {
  const by = auth?.identification.by;
  if (by === 'proxy') return undefined;
  // The brackets of an IPv6 address are a pattern in zsh.
  const quoted = /^[\w:/.~-]+$/.test(url) ? url : `'${url.replaceAll("'", '%27')}'`;
  const token = by === 'verify' ? ' --header "Authorization: Bearer $MCP_TOKEN"' : '';
  return `claude mcp add --transport http ${name} ${quoted}${token}`;
}

/** The name that the server gives itself, else that of its file. No character of it means something to a shell. */
export function clientNameOf(given: unknown, module: string): string {
  const safe = (text: unknown): string =>
    (typeof text === 'string' ? text : '').replace(/[^\w]+/g, '-').replace(/^-|-$/g, '');
  return safe(nameOf(given)) || safe(basename(module, extname(module))) || 'mcp';
}

function callersText({ auth }: ResolvedOptions): string {
  switch (auth?.identification.by) {
    case undefined:
      return 'anyone who reaches this address';
    case 'jwt':
      return `with a token of ${auth.identification.jwt.issuer}`;
    case 'proxy':
      return `as a proxy names them in ${auth.identification.header}`;
    case 'verify':
      return acceptedText(auth.identification.verify);
  }
}

function acceptedText(verify: VerifyToken): string {
  const file = keyFileOf(verify);
  return file === undefined ? 'with a token that the module accepts' : `with a key of ${file}`;
}

const isOpen = (address: string): boolean => address === '0.0.0.0' || address === '::';

const shownAddress = (address: string): string =>
  address.includes(':') ? `[${address}]` : address;

const awayText = ({ lasting }: StoreProblem): string =>
  lasting
    ? ' (cannot be used; sojourn keeps trying)'
    : ' (cannot be reached; sojourn keeps trying to connect)';

function storeText(store: ResolvedOptions['store']): string {
  return store === undefined || !store.durable
    ? `${store?.kind ?? 'memory'} (sessions end with this process)`
    : store.kind;
}
