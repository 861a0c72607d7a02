/**
 * The process that serves is replaced (`sojourn reload`), or killed, in the middle of an outage of the store. Its
 * parent holds the port. After a reload no call fails. After a crash only those may fail that ran in it.
 */
import { openBackingStore, type StoreKind } from '../backing-store.ts';
import { History, now } from '../history.ts';
import { pause } from '../pause.ts';
import type { RestartReport } from '../report.ts';
import { commonOf, type Fleet, paceOf, type Strike, underStrikes, violationsOf } from './patience.ts';

export interface RestartOptions {
  readonly kind: StoreKind;
  readonly seed: number;
  readonly leaseMs: number;
  readonly awayMs?: number;
  readonly logs?: string | undefined;
  readonly progress?: ((text: string) => void) | undefined;
}

/** Below `waitMs`. */
const AWAY_MS = 8_000;
/** Of official clients. */
const CLIENTS = 6;
const REPLACED_MS = 30_000;
const POLL_MS = 20;

export async function runRestart({ awayMs = AWAY_MS, ...options }: RestartOptions): Promise<RestartReport> {
  const { kind, seed, leaseMs } = options;
  const started = now();
  const history = new History();
  const store = await openBackingStore(kind, 1);
  const away = 'the store stopped, or the file locked';
  let before: number | undefined;
  let killedAt = 0;
  const [blow, during] = [kind === 'sqlite' ? 'frozen' : 'stopped', awayMs / 2] as const;
  const strikeWith = async ([deployment]: Fleet, act: (pid: number) => Promise<void> | void): Promise<void> => {
    before = deployment?.instances[0]?.workerPid;
    const back = store.away(awayMs, blow);
    await pause(during);
    if (before !== undefined) await act(before);
    await back;
  };
  const settled = ([deployment]: Fleet): Promise<void> =>
    until(() => deployment?.instances[0]?.workerPid !== before, 'another worker');
  const strikes: Strike[] = [
    {
      title: `${away}, and a reload in the middle`,
      ms: awayMs,
      strike: (fleet) => strikeWith(fleet, () => fleet[0]?.instances[0]?.reload()),
      settled: async (fleet) => {
        await settled(fleet);
        await until(() => !isAlive(before), 'the old worker to end');
      },
    },
    {
      title: `${away}, and the worker killed in the middle`,
      ms: awayMs,
      ranInKilled: ({ sentAt }) => sentAt <= killedAt,
      strike: (fleet) =>
        strikeWith(fleet, async (pid) => {
          process.kill(pid, 'SIGKILL');
          await until(() => !isAlive(pid), 'the worker to end');
          killedAt = now();
        }),
      settled,
    },
  ];
  const pace = paceOf('after-answer');
  const args = ['--workers', '1'];
  const rows = await underStrikes(store, strikes, history, { ...options, args, pace, shapes: [1] });
  const common = commonOf({ store, seed, leaseMs, started, rows });
  return {
    scenario: 'restart',
    ...common,
    clients: CLIENTS,
    sessions: rows.length * CLIENTS,
    ...violationsOf(history, rows, undefined),
    rows,
  };
}

async function until(condition: () => boolean, what: string): Promise<void> {
  for (const from = now(); !condition(); await pause(POLL_MS))
    if (now() - from > REPLACED_MS) throw new Error(`waited ${REPLACED_MS} ms for ${what}`);
}

function isAlive(pid: number | undefined): boolean {
  try {
    return pid !== undefined && process.kill(pid, 0);
  } catch {
    return false;
  }
}
