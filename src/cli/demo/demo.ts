/**
 * `sojourn demo`: three instances of `sojourn serve` on one SQLite file behind a round-robin front, and six official
 * clients of both eras that count. Beside them the same clients count on the SDK's own transport. Keys kill, freeze,
 * drain and restart an instance and take the store away.
 *
 *     stage.ts      what runs, and what is done to it
 *       side.ts       one side: instance.ts (processes), front.ts (load balancer), scripted-client.ts
 *       happenings.ts what happened: notices of the instances, waits of the clients
 *       buttons.ts    the buttons of the dashboard's page
 *       guard.ts      the keeper (keeper.ts) locks the store, and cleans up even after a kill -9 of the demo
 *     counter.ts, map.ts   the programs of the instances of both sides, with counter-tool.ts
 *     show.ts       frames (facts.ts, headline.ts, explanation.ts, frame.ts, screen.ts) or lines; cast.ts records them
 *     script.ts     keys without a person; keys.ts those of a person; summary.ts the end
 *
 * It claims nothing that it did not measure. A call fails when the code of its client sees an error. No client skips a
 * number, and the tool refuses a number that the session did not expect. Waits are times of calls, as their clients
 * took them. Both fronts send a POST without the head of an answer again, which is fair to both sides: the tool stores
 * the number of its client, so a call that runs twice changes nothing.
 */
import { loadLibsql } from '../../stores/sqlite/libsql.ts';
import type { DemoDeed, DemoState } from '../../dashboard/wire-pages.ts';
import { demoToken } from '../dashboard.ts';
import { EXIT, UsageError } from '../failure.ts';
import { Buttons, type Pressed } from './buttons.ts';
import { layoutOf } from './frame.ts';
import { QUIT_KEYS, readKeys } from './keyboard.ts';
import { checkScript, play, TOUR } from './script.ts';
import { Show } from './show.ts';
import { CAN_FREEZE, type Name, NAMES } from './instance-names.ts';
import { inkOf } from './styled-text.ts';
import { Stage } from './stage.ts';
import { summary } from './summary.ts';

export interface DemoRequest {
  /** Keys that are pressed instead of a person's. */
  readonly script: string | undefined;
  /** A whole number. */
  readonly seed: string;
  /** Lines, also in a terminal. */
  readonly plain: boolean;
  /** The file of an asciicast. */
  readonly cast: string | undefined;
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Resolves with the exit code: 1 when a call or a session on sojourn was lost. */
export async function demo(request: DemoRequest, out: (text: string) => void): Promise<number> {
  const seed = Number(request.seed);
  if (!Number.isSafeInteger(seed)) throw new UsageError(`--seed takes a whole number; got ${request.seed}`);
  const script = request.script ?? (process.stdin.isTTY ? undefined : TOUR);
  if (script !== undefined) checkScript(script);
  // Says how to install it, before anything runs.
  await loadLibsql();
  const show = openShow(request, out);
  const stage = new Stage(show.written);
  const quitting = new AbortController();
  const quit = (): void => {
    if (quitting.signal.aborted) process.exit(EXIT.failed);
    quitting.abort();
  };
  const ended = new Promise<void>((resolve) => quitting.signal.addEventListener('abort', () => resolve()));
  let failure: Error | undefined;
  const failed = (error: unknown): void => {
    failure ??= error instanceof Error ? error : new Error(String(error));
    quitting.abort();
  };
  const token = demoToken(process.env);
  const buttons = new Buttons(token, new PageButtons(stage, show, failed));
  const press = (key: string): Promise<void> =>
    QUIT_KEYS.includes(key) && !(key === 'q' && show.closesExplanation())
      ? Promise.resolve(quit())
      : pressed(key, stage, show).catch(failed);
  for (const signal of SIGNALS) process.on(signal, quit);
  const keys = process.stdin.isTTY ? readKeys(process.stdin, (key) => void press(key)) : undefined;
  try {
    await Promise.race([stage.open(buttons, token), ended]);
    if (!quitting.signal.aborted) {
      show.open(stage, buttons.path);
      await (script === undefined
        ? ended
        : Promise.race([play(script, seed, stage, { press, signal: quitting.signal }), ended]));
    }
  } catch (error) {
    failed(error);
  }
  quitting.abort();
  show.close();
  keys?.close();
  const end = stage.isOpen ? { text: summary(stage), totals: stage.totals(stage.ours) } : undefined;
  await stage.close();
  for (const signal of SIGNALS) process.off(signal, quit);
  if (failure !== undefined) throw failure;
  out(end?.text ?? '');
  return end === undefined || end.totals.lost + end.totals.sessionsLost === 0 ? EXIT.ok : EXIT.failed;
}

function openShow({ plain, cast }: DemoRequest, out: (text: string) => void): Show {
  const { stdin, stdout, env, platform } = process;
  const fits = stdout.isTTY && layoutOf(stdout) !== undefined;
  const terminal = fits && !plain && !env['CI'] ? stdout : undefined;
  const tells = stdout.isTTY && !env['CI'];
  const show = new Show({ terminal, cast, tells, ink: inkOf(env, platform), out });
  show.line('sojourn demo: 3 instances, one SQLite file, 6 clients');
  show.line("beside them the same clients on the SDK's own transport, also in three processes");
  const freeze = CAN_FREEZE ? 'f freeze, ' : '';
  if (stdin.isTTY) show.line(`keys: 1 2 3 instance, k kill -9, ${freeze}d drain, r restart, s store away 5 s, q quit`);
  return show;
}

/** What a key does. */
async function pressed(key: string, stage: Stage, show: Show): Promise<void> {
  if (!stage.isOpen || show.closesExplanation()) return;
  const name = NAMES[show.selected] as Name;
  switch (key) {
    case '1':
    case '2':
    case '3':
      show.selected = Number(key) - 1;
      return;
    case '?':
      return show.explain();
    case 'k':
      return refuse(show, kill(name, stage, show));
    case 'f':
      return CAN_FREEZE ? refuse(show, stage.freeze(name)) : undefined;
    case 'd':
      return refuse(show, stage.drain(name));
    case 'r':
      return refuse(show, stage.refusesStart(name) ?? (await stage.restart(name)));
    case 's':
      return refuse(show, stage.takeStoreAway());
    default:
  }
}

const refuse = (show: Show, why: string | void): void => (why === undefined ? undefined : show.refused(why));

/** The picture stops for a moment. */
function kill(name: Name, stage: Stage, show: Show): string | undefined {
  const refusal = stage.kill(name);
  if (refusal === undefined) show.killed();
  return refusal;
}

/** What the buttons of the page do: the same as the keys. */
class PageButtons implements Pressed {
  readonly #stage: Stage;
  readonly #show: Show;
  readonly #failed: (error: unknown) => void;

  constructor(stage: Stage, show: Show, failed: (error: unknown) => void) {
    this.#stage = stage;
    this.#show = show;
    this.#failed = failed;
  }

  get state(): DemoState {
    return this.#stage.state;
  }

  press(name: Name, deed: Exclude<DemoDeed, 'away'>): string | undefined {
    const stage = this.#stage;
    if (!stage.isOpen) return 'The demo starts.';
    switch (deed) {
      case 'kill':
        return kill(name, stage, this.#show);
      case 'freeze':
      case 'unfreeze': {
        const isFrozen = stage.ours.instance(name).state === 'frozen';
        if (isFrozen === (deed === 'freeze')) return `${name} is ${isFrozen ? '' : 'not '}frozen.`;
        return CAN_FREEZE ? stage.freeze(name) : 'This system cannot freeze a process.';
      }
      case 'drain':
        return stage.drain(name);
      case 'restart': {
        const refusal = stage.refusesStart(name);
        if (refusal === undefined) stage.restart(name).catch(this.#failed);
        return refusal;
      }
    }
  }

  takeStoreAway(): string | undefined {
    return this.#stage.isOpen ? this.#stage.takeStoreAway() : 'The demo starts.';
  }
}
