/** What a person sees of the stage: frames on a terminal, or lines. */
import { Cast } from './cast.ts';
import { explainFrame } from './explain-frame.ts';
import { type Facts, factsOf } from './facts.ts';
import { exactClock, frame, layoutOf, type Size } from './frame.ts';
import type { LogEntry } from './happenings.ts';
import { Screen } from './screen.ts';
import { type Ink, type Line, plainText, span } from './styled-text.ts';
import type { Stage } from './stage.ts';

/** At most ten frames a second. */
const FRAME_MS = 100;
/** After a kill the picture stops for a second, because no person sees 86 ms. It shows the moment SEEN_MS after it. */
const SEEN_MS = 50;
const STILL_MS = 1_000;
const REFUSAL_MS = 4_000;
/** The size of a cast without a terminal. */
const CAST_SIZE: Size = { columns: 100, rows: 30 };

export interface ShowOptions {
  /** The terminal that gets the frames; `undefined`: lines. */
  readonly terminal: NodeJS.WriteStream | undefined;
  readonly cast: string | undefined;
  /** The output goes to a terminal, so it may have the token. */
  readonly tells: boolean;
  readonly ink: Ink;
  out(text: string): void;
}

export class Show {
  /** The number of the instance that keys act on, from 0. */
  selected = 1;
  readonly #options: ShowOptions;
  readonly #cast: Cast | undefined;
  readonly #screen: Screen | undefined;
  #stage: Stage | undefined;
  #frames: NodeJS.Timeout | undefined;
  #still: { readonly facts: Facts; readonly until: number } | undefined;
  #refusal: { readonly text: string; readonly until: number } | undefined;
  #explains = false;
  #dashboard = '';

  constructor(options: ShowOptions) {
    const { terminal, cast, ink } = options;
    this.#options = options;
    this.#cast = cast === undefined ? undefined : new Cast(cast, this.#size);
    if (terminal === undefined && this.#cast === undefined) return;
    const write = (text: string): void => {
      terminal?.write(text);
      this.#cast?.write(text);
    };
    this.#screen = new Screen(write, ink);
    terminal?.on('resize', this.#resized);
    this.#screen.show([[], [span(' sojourn demo', 'bold'), span('   starts three instances and six clients …')]]);
  }

  /** From now on it shows this stage. `path`: of the page with its token, which only a terminal shows. */
  open(stage: Stage, path: string): void {
    this.#stage = stage;
    // At the front, so that an instance that is killed takes no page with it.
    const { origin } = new URL(stage.ours.front.url);
    this.#dashboard = this.#options.tells && this.#cast === undefined ? origin + path : origin;
    this.#frames = setInterval(() => this.#draw(), FRAME_MS);
    this.#draw();
    this.line(`dashboard ${this.#dashboard}`);
  }

  /** A line, where there are no frames. */
  line(text: string): void {
    if (this.#options.terminal === undefined) this.#options.out(`${plainText(text, this.#options.ink)}\n`);
  }

  readonly written = ({ at, text }: LogEntry): void => this.line(`${exactClock(at)}  ${text}`);

  /** An instance was killed: the picture stops. */
  killed(): void {
    setTimeout(() => {
      if (this.#stage === undefined || this.#frames === undefined) return;
      this.#still = { facts: factsOf(this.#stage, this.#dashboard, undefined), until: performance.now() + STILL_MS };
    }, SEEN_MS).unref();
  }

  /** A key did nothing. */
  refused(text: string): void {
    this.#refusal = { text, until: performance.now() + REFUSAL_MS };
    this.line(text);
  }

  /** True: the key only closed the explanation. */
  closesExplanation(): boolean {
    const was = this.#explains;
    this.#explains = false;
    return was;
  }

  explain(): void {
    this.#explains = true;
  }

  close(): void {
    clearInterval(this.#frames);
    this.#frames = undefined;
    this.#options.terminal?.off('resize', this.#resized);
    this.#screen?.close();
    this.#cast?.close();
  }

  get #size(): Size {
    const { terminal } = this.#options;
    return terminal === undefined ? CAST_SIZE : { columns: terminal.columns, rows: terminal.rows };
  }

  readonly #resized = (): void => {
    this.#screen?.forget();
    this.#draw();
  };

  #draw(): void {
    if (this.#stage !== undefined) this.#screen?.show(this.#frame(this.#stage));
  }

  #frame(stage: Stage): readonly Line[] {
    const size = this.#size;
    const layout = layoutOf(size);
    const now = performance.now();
    if (layout === undefined) return [[span('sojourn demo needs 80 × 24. q ends it.')]];
    if (this.#explains) return explainFrame({ ms: stage.happenings.ms, dashboard: this.#dashboard }, layout, size.rows);
    if (this.#still !== undefined && now > this.#still.until) this.#still = undefined;
    if (this.#refusal !== undefined && now > this.#refusal.until) this.#refusal = undefined;
    const facts = this.#still?.facts ?? factsOf(stage, this.#dashboard, this.#refusal?.text);
    return frame(facts, layout, size.rows, this.selected);
  }
}
