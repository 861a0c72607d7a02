/** What `serve` prints once it listens. */
import type { ResolvedOptions } from '../options/endpoint-options.ts';
import { MODERN_VERSIONS, servedVersions } from '../protocol/versions.ts';

export interface BannerFacts {
  readonly version: string;
  readonly url: string;
  readonly options: ResolvedOptions;
  /** Number of worker processes, if there are several. */
  readonly workers: number | undefined;
  /** The URL of the store, if it is a server. */
  readonly store: string | undefined;
  readonly storeAway: boolean;
}

const MODES: Readonly<Record<ResolvedOptions['sessionMode'], string>> = {
  hybrid: `hybrid: sessions for clients that initialize, ${MODERN_VERSIONS.join(', ')} request by request`,
  stateful: 'stateful: a session for every client',
  stateless: 'stateless: no sessions',
};

export function banner({ version, url, options, workers, store, storeAway }: BannerFacts): string {
  const { sessionMode, legacySse, supportedProtocolVersions } = options;
  const rows: [string, string][] = [
    ['endpoint', url],
    ...(legacySse ? ([['old SSE', `${url.replace(/\/$/, '')}/sse`]] satisfies [string, string][]) : []),
    ['health', `${new URL(url).origin}/healthz`],
    ['sessions', MODES[sessionMode]],
    ['versions', servedVersions(sessionMode, supportedProtocolVersions).join(', ')],
    ['store', `${store ?? storeText(options.store)}${storeAway ? AWAY : ''}`],
    ...(workers === undefined ? [] : ([['workers', String(workers)]] satisfies [string, string][])),
  ];
  const lines = rows.map(([name, value]) => `  ${name.padEnd(10)}${value}`);
  return ['', `sojourn ${version}`, '', ...lines, '', '  Stop with Ctrl+C.', ''].join('\n') + '\n';
}

const AWAY = ' (cannot be reached; sojourn keeps trying to connect)';

function storeText(store: ResolvedOptions['store']): string {
  return store === undefined || !store.durable
    ? `${store?.kind ?? 'memory'} (sessions end with this process)`
    : store.kind;
}
