/**
 * Clients in other languages (`test/clients/programs`) as actors. Nothing sees what they send: a call ends as its user
 * sees it, and a client that its SDK gave up is replaced. They call like clients without a session, whichever protocol
 * version they speak.
 */
// @ts-expect-error: a script without declarations
import { commandOf, lackOf } from '../../../scripts/servers.mjs';
import { type Era, type OtherClient, OtherProgram } from '../../clients/other-client.ts';
import { type ProgramName, TITLES } from '../../clients/other-titles.ts';
import type { Call, Ending, History } from '../history.ts';
import { endingOf } from '../messages.ts';
import { pause } from '../pause.ts';
import { type Actor, Nonces, Pending, type Work } from './actor.ts';

export const LANGUAGES = ['python', 'go', 'rust', 'java'] as const;
export type Language = (typeof LANGUAGES)[number];

const PROGRAMS: Readonly<Record<Language, readonly (readonly [program: ProgramName, eras: readonly Era[]])[]>> = {
  python: [
    ['python-1', ['2025']],
    ['python-2', ['2025', '2026']],
  ],
  go: [
    ['go-sdk', ['2025', '2026']],
    ['mcp-go', ['2025', '2026']],
  ],
  rust: [['rmcp', ['2025', '2026']]],
  java: [['java', ['2025']]],
};

/** Longer than all that a call waits for: frozen instances, a store that is away, the attempts of its client. */
export const DEADLINE_MS = 60_000;

export interface OtherActorOptions {
  readonly history: History;
  /** Where it connects. */
  readonly url: string;
  /** A call may fail: a connection may break before its client has anything to come back with. */
  readonly mayFail: boolean;
}

interface Running {
  readonly name: ProgramName;
  readonly eras: readonly Era[];
  readonly program: OtherProgram;
}

export interface OtherKind {
  readonly title: string;
  connect(url: string): Promise<OtherClient>;
}

export class OtherPrograms {
  readonly #programs: readonly Running[];

  private constructor(programs: readonly Running[]) {
    this.#programs = programs;
  }

  /** What this machine lacks for the programs of these languages, each with the name of its program. */
  static async lackingFor(languages: readonly Language[]): Promise<readonly string[]> {
    const lacking: string[] = [];
    for (const [name] of languages.flatMap((language) => PROGRAMS[language])) {
      const lack: string | undefined = await lackOf(name);
      if (lack !== undefined) lacking.push(`${name}: ${lack}`);
    }
    return lacking;
  }

  /** Builds what is missing. Rejects where this machine cannot. */
  static async start(languages: readonly Language[]): Promise<OtherPrograms> {
    const chosen = languages.flatMap((language) => PROGRAMS[language]);
    const lacking = await OtherPrograms.lackingFor(languages);
    if (lacking.length > 0) throw new Error(lacking.join('; '));
    return new OtherPrograms(
      chosen.map(([name, eras]) => ({ name, eras, program: new OtherProgram(commandOf(name) as string[]) })),
    );
  }

  /** One for each program and protocol version that it can choose. */
  actors(options: OtherActorOptions): readonly Actor[] {
    return this.#programs.flatMap(({ name, eras, program }) =>
      eras.map((era) => new OtherActor(options, `${name.replaceAll(/\W/g, '')}of${era}`, program, era)),
    );
  }

  /** Each program with each protocol version that it can choose. */
  get kinds(): readonly OtherKind[] {
    return this.#programs.flatMap(({ name, eras, program }) =>
      eras.map((era) => ({ title: `${TITLES[name]}, ${era}`, connect: (url: string) => program.connect(url, era) })),
    );
  }

  async close(): Promise<void> {
    await Promise.all(this.#programs.map(({ program }) => program.close()));
  }
}

class OtherActor implements Actor {
  readonly name: string;
  readonly stateless = true;
  readonly story = undefined;
  readonly pending = new Pending();
  readonly #options: OtherActorOptions;
  readonly #program: OtherProgram;
  readonly #era: Era;
  readonly #nonces: Nonces;
  #client: OtherClient | undefined;
  #closed = false;

  constructor(options: OtherActorOptions, name: string, program: OtherProgram, era: Era) {
    this.#options = options;
    this.name = name;
    this.#program = program;
    this.#era = era;
    this.#nonces = new Nonces(name);
  }

  get ready(): boolean {
    return this.#client !== undefined && this.#client.dead === undefined;
  }

  async open(): Promise<boolean> {
    const { history, url } = this.#options;
    if (this.#client !== undefined) history.count(`${this.name}: given up by its SDK`);
    this.#client = undefined;
    this.#nonces.nextSession();
    try {
      this.#client = await this.#program.connect(url, this.#era);
      return true;
    } catch (error) {
      if (!this.#closed) history.count(`connect failed: ${String(error).slice(0, 60)}`);
      await pause(50);
      return false;
    }
  }

  call(tool: string, { ms = 0 }: Work = {}): Promise<Call> {
    // The answer of `confirm` belongs to 2026-07-28 alone.
    const chosen = tool === 'confirm' ? 'read' : tool;
    const { history } = this.#options;
    const nonce = this.#nonces.next();
    const call = history.call({ client: this.name, tool: chosen, nonce, steps: 0, story: undefined });
    return this.pending.track(this.#call(call, ms));
  }

  async #call(call: Call, ms: number): Promise<Call> {
    const { history, mayFail } = this.#options;
    const outcome = await this.#client?.outcome(call.tool, { nonce: call.nonce, ms }, DEADLINE_MS);
    if (this.#closed) return call;
    if (outcome?.event === 'answered') {
      const { text = '', isError = false } = outcome;
      history.end(call, endingOf({ result: { content: [{ text }], isError } }));
      return call;
    }
    // What its SDK gave up has no answer; else the checker finds a call without an end.
    if (outcome === undefined && this.ready) return call;
    const text = outcome?.error ?? 'its SDK gave the client up';
    const ending: Ending = mayFail ? { kind: 'left' } : { kind: 'exception', text };
    history.count(`${this.name}: ${text.slice(0, 60)}`);
    history.end(call, ending);
    return call;
  }

  /** Its SDK decides about its streams. */
  dropGet(): void {}

  async delete(): Promise<void> {}

  async close(): Promise<void> {
    this.#closed = true;
  }
}
