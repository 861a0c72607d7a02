/**
 * One instance of the deployment: `sojourn serve` as a separate process, from the build, started again as often as it
 * ends. Each start has another name (`a.1`, `a.2` …).
 *
 *     started ─▶ serving ─SIGSTOP─▶ frozen ─SIGCONT─▶ serving ─SIGKILL | SIGTERM─▶ ended ─▶ started
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { now } from './history.ts';

const cli = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const serverModule = fileURLToPath(new URL('processes/server.mjs', import.meta.url));

export interface InstanceOptions {
  readonly name: string;
  /** Arguments of `sojourn serve` behind the module. */
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly effects: string;
  /** A folder for all that it logs, debug lines too. */
  readonly logs?: string | undefined;
  happened(what: string): void;
  /** It ended without being asked to. */
  ended(instance: Instance, how: string): void;
}

export interface LogLine {
  readonly at: number;
  readonly level: number;
  readonly msg: string;
  readonly start: string;
}

/** A time in which requests to it may break, or wait, for a reason. */
export interface Absence {
  readonly kind: 'killed' | 'frozen' | 'drained';
  readonly start: string;
  readonly from: number;
  until: number;
}

const START_MS = 20_000;
const STARTS = 5;
const WARN = 40;
const WORDS = 4_000;
/** The variables of the run itself, and what npm adds, are not the server's. */
const inherited = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(SOJOURN_|npm_|NODE_OPTIONS$|VITEST)/.test(name)),
);

/** Whatever ends this process, none of them stays. */
const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export class Instance {
  readonly name: string;
  readonly #options: InstanceOptions;
  readonly absences: Absence[] = [];
  /** Warnings and worse. */
  readonly lines: LogLine[] = [];
  /** Where it listens; of an earlier start while it is away. */
  port = 0;
  #starts = 0;
  #child: ChildProcess | undefined;
  #exited: Promise<unknown> | undefined;
  #beginning: Promise<void> | undefined;
  #asked = false;
  #tail = '';
  /** What it says besides its log: why it ended. */
  #words = '';

  constructor(options: InstanceOptions) {
    this.#options = options;
    this.name = options.name;
  }

  /** The name of this start. */
  get start(): string {
    return `${this.name}.${this.#starts}`;
  }

  /**
   * Resolves when it listens. A process that cannot reach its store in time ends, and is started again, as a supervisor
   * does.
   */
  begin(): Promise<void> {
    return (this.#beginning ??= this.#start().finally(() => {
      this.#beginning = undefined;
    }));
  }

  async #start(): Promise<void> {
    if (this.#child !== undefined) return;
    for (let tries = 1; ; tries++) {
      try {
        return await this.#begin();
      } catch (error) {
        if (tries === STARTS) throw error;
        this.#options.happened(String(error));
        // It may run on without listening, and would take from the next one what that needs.
        await this.#end('SIGTERM');
      }
    }
  }

  async #begin(): Promise<void> {
    this.#starts += 1;
    this.#words = '';
    // Until it listens it may end.
    this.#asked = true;
    const { logs, effects, env: reach } = this.#options;
    const level = logs === undefined ? [] : ['--log-level', 'debug'];
    const args = [cli, 'serve', serverModule, '--port', '0', ...level, ...this.#options.args];
    // Without `--workers` the process that serves is killed and frozen.
    const env = { ...inherited, ...reach, SOJOURN_WORKERS: '0', INSTANCE: this.start, EFFECTS: effects };
    const child = spawn(process.execPath, args, { env, stdio: ['pipe', 'pipe', 'pipe'] });
    this.#child = child;
    running.add(child);
    this.#exited = once(child, 'exit').then(([code, signal]) => {
      running.delete(child);
      if (this.#child !== child) return;
      this.#child = undefined;
      if (!this.#asked) this.#options.ended(this, `${this.start} ended with ${code ?? signal}: ${this.#words}`);
    });
    this.#read(child);
    this.port = await this.#listening(child);
    this.#asked = false;
    this.#options.happened(`${this.start} listens`);
  }

  /** SIGKILL. Its connections are closed by the time this resolves. */
  async kill(): Promise<void> {
    this.#absent('killed');
    await this.#end('SIGKILL');
  }

  freeze(): void {
    this.#absent('frozen');
    this.#child?.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child?.kill('SIGCONT');
    this.#back();
  }

  /** SIGTERM; resolves when it has ended by itself. */
  async drain(): Promise<void> {
    this.#absent('drained');
    await this.#end('SIGTERM');
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    this.#asked = true;
    this.#child?.kill(signal);
    await this.#exited;
    this.#back();
  }

  #absent(kind: Absence['kind']): void {
    this.#options.happened(`${this.start} ${kind}`);
    this.absences.push({ kind, start: this.start, from: now(), until: Infinity });
  }

  #back(): void {
    this.#options.happened(`${this.start} ${this.#child === undefined ? 'has ended' : 'continues'}`);
    const last = this.absences.at(-1);
    if (last !== undefined) last.until = Math.min(last.until, now());
  }

  #read(child: ChildProcess): void {
    const { start } = this;
    const { logs } = this.#options;
    let rest = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      if (logs !== undefined) appendFileSync(join(logs, `${start}.log`), text);
      this.#tail = (this.#tail + text).slice(-2_000);
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) this.#line(start, line);
    });
  }

  #line(start: string, line: string): void {
    if (!line.startsWith('{')) {
      this.#words = `${this.#words}${line}\n`.slice(-WORDS);
      return;
    }
    const { level, msg } = JSON.parse(line) as { level: number; msg: string };
    if (level >= WARN) this.lines.push({ at: now(), level, msg, start });
  }

  /** The port, from the banner. */
  #listening(child: ChildProcess): Promise<number> {
    return new Promise((resolve, reject) => {
      let output = '';
      const fail = (): void => reject(new Error(`${this.start} does not listen: ${output} ${this.#tail}`));
      const timer = setTimeout(fail, START_MS);
      child.once('exit', fail);
      child.stdout?.setEncoding('utf8').on('data', (text: string) => {
        output += text;
        const port = /^ {2}endpoint +http:\/\/[^:]+:(\d+)\//m.exec(output)?.[1];
        if (port === undefined) return;
        clearTimeout(timer);
        child.off('exit', fail);
        resolve(Number(port));
      });
    });
  }
}
