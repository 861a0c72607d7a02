/**
 * What every scenario has: a deployment, a crowd on it, what is seen of both; in the end calm, a proof, a judgement.
 */
import { Random } from '../../simulation/random.ts';
import type { Servers } from '../arguments.ts';
import type { StoreKind } from '../backing-store.ts';
import { check } from '../checker.ts';
import type { Pace } from '../clients/life.ts';
import { type Language, OtherPrograms } from '../clients/other-actor.ts';
import { Crowd } from '../crowd.ts';
import { Deployment } from '../deployment.ts';
import { type Effects, readEffects } from '../effects.ts';
import { History, now } from '../history.ts';
import { pause } from '../pause.ts';

export interface ScenarioOptions {
  readonly kind: StoreKind;
  readonly seed: number;
  readonly leaseMs: number;
  /** Of the crowd: times twelve clients. */
  readonly size: number;
  readonly logs?: string | undefined;
  readonly servers: Servers;
  /** Clients in other languages besides. */
  readonly languages?: readonly Language[] | undefined;
  readonly progress?: ((text: string) => void) | undefined;
}

interface StageOptions extends ScenarioOptions {
  readonly drainMs: number;
  /** How long a tool waits for its user's answer. */
  readonly askMs?: number;
  readonly pace: Pace;
  /** Calls of clients in other languages may fail. */
  readonly othersMayFail: boolean;
}

/** What has not ended so long after the last fault has no end. */
const PATIENCE_MS = 20_000;

export class Stage {
  readonly kind: StoreKind;
  readonly seed: number;
  readonly leaseMs: number;
  readonly servers: Servers;
  readonly history: History;
  readonly random: Random;
  readonly deployment: Deployment;
  readonly crowd: Crowd;
  readonly #started = now();

  private constructor(
    { kind, seed, leaseMs, servers, size, pace, othersMayFail }: StageOptions,
    deployment: Deployment,
    history: History,
    programs: OtherPrograms | undefined,
  ) {
    this.kind = kind;
    this.seed = seed;
    this.leaseMs = leaseMs;
    this.servers = servers;
    this.history = history;
    this.deployment = deployment;
    this.random = new Random(seed);
    const others = programs?.actors({ history, url: deployment.proxy.url, mayFail: othersMayFail });
    this.crowd = new Crowd({ deployment, history, random: this.random.fork(), size, pace, others });
  }

  /** Sets it up for `play`, and takes it down however that ends. */
  static async with<T>(options: StageOptions, play: (stage: Stage) => Promise<T>): Promise<T> {
    const { kind, leaseMs, drainMs, logs, askMs, servers, languages = [] } = options;
    const history = new History();
    const env = { SERVERS: servers, ...(askMs !== undefined && { ASK_MS: String(askMs) }) };
    const programs = languages.length === 0 ? undefined : await OtherPrograms.start(languages);
    const deployment = await Deployment.open({ kind, leaseMs, drainMs, history, logs, env });
    const stage = new Stage(options, deployment, history, programs);
    try {
      return await play(stage);
    } finally {
      await stage.crowd.close();
      await deployment.close();
      await programs?.close();
    }
  }

  get seconds(): number {
    return (now() - this.#started) / 1000;
  }

  /** No more faults: everything that was begun ends, and every session works. */
  async calm(): Promise<void> {
    await pause(this.leaseMs);
    await this.crowd.rest(this.leaseMs + PATIENCE_MS);
    await this.crowd.prove(PATIENCE_MS);
  }

  /** From a moment to the first result of each client after it, of a call that was sent after it too. */
  recoveries(since: number): number[] {
    const first = new Map<string, number>();
    for (const { client, attemptAt, endedAt, ending } of this.history.calls.values()) {
      if (ending?.kind !== 'result' || attemptAt < since) continue;
      first.set(client, Math.min(first.get(client) ?? Infinity, endedAt - since));
    }
    return [...first.values()];
  }

  resultsBetween(from: number, until: number): number {
    const within = ({ endedAt }: { endedAt: number }): boolean => endedAt >= from && endedAt <= until;
    return [...this.history.calls.values()].filter((call) => call.ending?.kind === 'result' && within(call)).length;
  }

  judge(): Effects {
    const effects = readEffects(this.deployment.effects);
    check(this.history, effects, this.deployment);
    return effects;
  }
}
