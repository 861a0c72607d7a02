/** What `serve` prints once it listens. */
import type { ResolvedOptions } from '../options.ts';
import { MODERN_VERSIONS, servedVersions } from '../versions.ts';

export interface BannerFacts {
  readonly version: string;
  readonly url: string;
  readonly options: ResolvedOptions;
  /** Processes, where there are several. */
  readonly workers: number | undefined;
}

const MODES: Readonly<Record<ResolvedOptions['sessionMode'], string>> = {
  hybrid: `hybrid: sessions for clients that initialize, ${MODERN_VERSIONS.join(', ')} request by request`,
  stateful: 'stateful: a session for every client',
  stateless: 'stateless: no sessions',
};

export function banner({ version, url, options, workers }: BannerFacts): string {
  const { sessionMode, store, legacySse, supportedProtocolVersions } = options;
  const rows: [string, string][] = [
    ['endpoint', url],
    ...(legacySse ? ([['old SSE', `${url.replace(/\/$/, '')}/sse`]] satisfies [string, string][]) : []),
    ['health', `${new URL(url).origin}/healthz`],
    ['sessions', MODES[sessionMode]],
    ['versions', servedVersions(sessionMode, supportedProtocolVersions).join(', ')],
    [
      'store',
      store === undefined || !store.durable
        ? `${store?.kind ?? 'memory'} (sessions end with this process)`
        : store.kind,
    ],
    ...(workers === undefined ? [] : ([['workers', String(workers)]] satisfies [string, string][])),
  ];
  const lines = rows.map(([name, value]) => `  ${name.padEnd(10)}${value}`);
  return ['', `sojourn ${version}`, '', ...lines, '', '  Stop with Ctrl+C.', ''].join('\n') + '\n';
}
