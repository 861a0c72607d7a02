/** What befalls each side, in this order, while clients call: a deploy, kills, a store that is away. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { openBackingStore, SERVER_ARGS } from '../../test/chaos/backing-store.ts';
import { startServer } from '../../test/kit/servers/start.ts';
import { Users } from './crowd.ts';
import { Deployment } from './deployment.ts';
import { Meter } from '../../src/cli/prove/meter.ts';
import { type Outcome, outcomeOf } from './outcome.ts';
import type { Side, SideStore } from './sides.ts';

const CALM_MS = 5_000;
/** Between kills: longer than the longest call. */
const APART_MS = 6_000;
const AWAY_MS = 5_000;

interface Store {
  readonly url: string;
  /** Its processes. */
  readonly roots: readonly number[];
  away(): Promise<void>;
  close(): Promise<void>;
}

/** A server is killed and started again; the file of SQLite is locked by another process. */
async function openStore(kind: SideStore): Promise<Store> {
  if (kind === 'sqlite') {
    const file = await openBackingStore('sqlite');
    const { url = '' } = file.reach(0);
    return { url, roots: [], away: () => file.away(AWAY_MS, 'killed'), close: () => file.close() };
  }
  const server = await startServer(kind, { args: SERVER_ARGS[kind] });
  return {
    url: server.url,
    get roots() {
      try {
        return [server.pid];
      } catch {
        return []; // It is away.
      }
    },
    away: async () => {
      await server.killed();
      await pause(AWAY_MS);
      await server.start();
    },
    close: () => server.close(),
  };
}

export interface StoryOptions {
  readonly kills: number;
  /** The folder of the rivals. */
  readonly rivals: string;
  /** A file that gets what the processes print. */
  readonly log: string;
  tell(text: string): void;
}

export async function play(side: Side, options: StoryOptions): Promise<Outcome> {
  const { kills, rivals, log, tell } = options;
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-kills-'));
  const runs = join(folder, 'runs');
  writeFileSync(runs, '');
  const store = side.store && (await openStore(side.store));
  const places = { store: store?.url ?? 'memory:', rivals };
  const deployment = await Deployment.start(side, places, { runs, log });
  const [meter, storeMeter] = [new Meter(deployment), store && new Meter(store)];
  const crowd = new Users(deployment.url);
  const begin = (phase: string): void => {
    if (phase !== crowd.phase) tell(`${side.title}: ${phase}`);
    crowd.phase = phase;
  };
  try {
    await crowd.open();
    await pause(CALM_MS);
    begin('deploy');
    await deployment.deploy();
    await pause(CALM_MS);
    for (let kill = 0; kill < kills; kill++) {
      begin('kills');
      await deployment.kill(kill);
      await pause(APART_MS + ((kill * 370) % 1_000));
    }
    if (store !== undefined) {
      begin('store away');
      await store.away();
      await pause(2 * CALM_MS);
    }
    begin('end');
    await crowd.close();
    const used = { ...meter.stop(), store: storeMeter?.stop() };
    return outcomeOf(side, crowd, readFileSync(runs, 'utf8'), used);
  } finally {
    meter.stop();
    storeMeter?.stop();
    await deployment.close();
    await store?.close();
    rmSync(folder, { recursive: true, force: true });
  }
}
