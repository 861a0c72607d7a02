/**
 * Sessions that an instance owns at the moment when it is killed or frozen, and what their clients wait for then: the
 * next answer, and the end of calls that run on it and that came through another instance.
 */
import { type Call, type History, now } from '../history.ts';
import { nameOf } from '../checker.ts';
import { pause } from '../pause.ts';
import type { Random } from '../../simulation/random.ts';
import { RawActor } from './raw-actor.ts';

export interface AmbushOptions {
  readonly history: History;
  readonly random: Random;
  /** Of this run. */
  readonly number: number;
  /** The instance that will be struck, and where those are that will not. */
  readonly victim: { readonly url: string; readonly start: string };
  others(): string;
}

/** What was waited for after a strike, in ms. */
export interface Waited {
  /** For the answer to the first request on a session of the victim. */
  readonly next: readonly number[];
  /** For the end of a call that ran there, or the first message of its second run. */
  readonly inFlight: readonly number[];
}

/** What a strike may cost at most; later it has no end. */
const PATIENCE_MS = 20_000;
/** Messages. */
const UNDER_WAY = 3;
const VERSIONS = ['2025-11-25', '2025-06-18'];
/** Sessions that are asked something next. */
const IDLE = 3;
/** So long that it never ends by itself. */
const LONG = { ms: 60_000, steps: 600 };

export class Ambush {
  readonly #options: AmbushOptions;
  readonly #idle: RawActor[] = [];
  readonly #running: Call[] = [];
  readonly #actors: RawActor[] = [];
  #struck = 0;

  private constructor(options: AmbushOptions) {
    this.#options = options;
  }

  /** Resolves when the victim owns the sessions and runs the calls. */
  static async lay(options: AmbushOptions): Promise<Ambush> {
    const ambush = new Ambush(options);
    await Promise.all([
      ...Array.from({ length: IDLE }, (_, n) => ambush.#layIdle(n)),
      ...['slow', 'slow-once'].map((tool, n) => ambush.#layRunning(tool, n)),
    ]);
    return ambush;
  }

  async #actor(kind: string, n: number): Promise<RawActor> {
    const { history, random, number, victim, others } = this.#options;
    // The victim makes the session; everything else comes through another instance.
    const route = (): string => (actor.story === undefined ? victim.url : others());
    const version = VERSIONS[(number + n) % 2] ?? '';
    const name = `${kind}${number * 10 + n}`;
    const actor: RawActor = new RawActor({ history, random, route, name, version, deaf: true, retryMs: 20 });
    this.#actors.push(actor);
    await actor.open();
    return actor;
  }

  async #layIdle(n: number): Promise<void> {
    const actor = await this.#actor('idle', n);
    const { ending } = await actor.call('count');
    if (ending?.kind === 'result' && ending.by === this.#options.victim.start) this.#idle.push(actor);
  }

  async #layRunning(tool: string, n: number): Promise<void> {
    const actor = await this.#actor('running', n);
    await actor.list();
    void actor.call(tool, LONG);
    const { latest: call } = actor;
    if (call === undefined) return;
    const runs = (): boolean => call.progress.length > 0 || call.ending !== undefined;
    const deadline = now() + PATIENCE_MS;
    while (!runs() && now() < deadline) await pause(1);
    if (!runs())
      this.#options.history.violation('hung', `${nameOf(call)}: it neither ended nor ran in ${PATIENCE_MS} ms`);
    // A victim that has just lost its lease has given its sessions away.
    if (call.ending === undefined && call.progress.at(-1)?.run.startsWith(`${this.#options.victim.start}/`))
      this.#running.push(call);
  }

  /** Call it in the moment of the strike. */
  async struck(): Promise<Waited> {
    const from = (this.#struck = now());
    const next = Promise.all(
      this.#idle.map(async (actor) => {
        const { endedAt, ending } = await actor.call('peek');
        return ending?.kind === 'result' ? endedAt - from : Infinity;
      }),
    );
    const inFlight = Promise.all(this.#running.map((call) => this.#over(call)));
    return { next: await next, inFlight: (await inFlight).filter((ms) => ms !== undefined) };
  }

  /** Its end, or a second run's first message; undefined: a victim that was only frozen went on with it. */
  async #over(call: Call): Promise<number | undefined> {
    const before = call.progress.at(-1)?.run;
    const deadline = this.#struck + PATIENCE_MS;
    // What it said last may be on its way.
    const goesOn = call.progress.length + UNDER_WAY;
    while (call.ending === undefined && call.progress.at(-1)?.run === before) {
      if (call.progress.length > goesOn) return undefined;
      if (now() > deadline) {
        this.#options.history.violation(
          'hung',
          `${nameOf(call)}: struck at ${this.#struck}, neither ended nor ran again`,
        );
        return Infinity;
      }
      await pause(1);
    }
    return now() - this.#struck;
  }

  /** Its sessions end, and are known as ended from then on. */
  async clear(): Promise<void> {
    await Promise.all(this.#actors.map((actor) => actor.delete()));
    await Promise.all(this.#actors.map((actor) => actor.close()));
  }
}
