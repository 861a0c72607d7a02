/**
 * One instance of the deployment: `sojourn serve` as a separate process, from the build, started again as often as it
 * ends, on the same port. Each start has another name (`a.1`, `a.2` …).
 *
 *     started ─▶ serving ─SIGSTOP─▶ frozen ─SIGCONT─▶ serving ─SIGKILL | SIGTERM─▶ ended ─▶ started
 */
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DeployedInstance } from '../pages/deploy/instances.ts';
import { type LiveWorld, now } from './live-world.ts';

const module = fileURLToPath(new URL('processes/server.mjs', import.meta.url));

export interface InstanceOptions {
  readonly name: string;
  readonly port: number;
  /** `undefined`: the module makes the store. */
  readonly store: string | undefined;
  readonly flags: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** A folder for all that it logs, debug lines too. */
  readonly logs?: string | undefined;
}

export interface LogLine {
  readonly at: number;
  readonly msg: string;
}

/** A time in which requests to it may break, or wait, for a reason. */
export interface Absence {
  readonly kind: 'killed' | 'frozen' | 'drained';
  readonly start: string;
  readonly from: number;
  until: number;
}

const STARTS = 5;
const WARN = 40;

export class Instance {
  readonly name: string;
  readonly port: number;
  readonly absences: Absence[] = [];
  /** Warnings and worse. */
  readonly lines: LogLine[] = [];
  readonly #world: LiveWorld;
  readonly #options: InstanceOptions;
  readonly #process: DeployedInstance;
  #starts = 0;
  #beginning: Promise<void> | undefined;
  #rest = '';

  constructor(world: LiveWorld, options: InstanceOptions) {
    const { name, port, store, flags, logs } = options;
    this.#world = world;
    this.#options = options;
    this.name = name;
    this.port = port;
    this.#process = new DeployedInstance(port, store, {
      module,
      flags,
      level: logs === undefined ? 'warn' : 'debug',
      log: (text) => this.#log(text),
      ended: (how) => this.#crashed(how),
    });
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
    return (this.#beginning ??= this.#begin().finally(() => {
      this.#beginning = undefined;
    }));
  }

  async #begin(): Promise<void> {
    if (this.#process.running) return;
    for (let tries = 1; ; tries++) {
      this.#starts += 1;
      try {
        await this.#process.start('mcp', { ...this.#options.env, INSTANCE: this.start });
        return this.#world.note(`${this.start} listens`);
      } catch (error) {
        if (tries === STARTS) throw error;
        this.#world.note(String(error));
        // It may run on without listening, and would take from the next one what that needs.
        await this.#process.stop();
      }
    }
  }

  /** It is started again, as a supervisor does, and the run continues. */
  #crashed(how: string): void {
    this.#world.wrong(`crashed: ${this.start}: ${how}`);
    this.begin().catch((error: unknown) => this.#world.wrong(`crashed: ${String(error)}`));
  }

  /** SIGKILL. Its connections are closed by the time this resolves. */
  async kill(): Promise<void> {
    this.#absent('killed');
    await this.#process.kill();
    this.#back('has ended');
  }

  freeze(): void {
    this.#absent('frozen');
    this.#process.freeze();
  }

  thaw(): void {
    this.#process.thaw();
    this.#back('continues');
  }

  /** SIGTERM; resolves when it has ended by itself. */
  async drain(): Promise<void> {
    this.#absent('drained');
    await this.#process.stop();
    this.#back('has ended');
  }

  #absent(kind: Absence['kind']): void {
    this.#world.note(`${this.start} ${kind}`);
    this.absences.push({ kind, start: this.start, from: now(), until: Infinity });
  }

  #back(how: string): void {
    this.#world.note(`${this.start} ${how}`);
    const last = this.absences.at(-1);
    if (last !== undefined) last.until = Math.min(last.until, now());
  }

  #log(text: string): void {
    const { start } = this;
    const { logs } = this.#options;
    if (logs !== undefined) appendFileSync(join(logs, `${start}.log`), text);
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      if (!line.startsWith('{')) continue;
      const { level, msg } = JSON.parse(line) as { level: number; msg: string };
      if (level >= WARN) this.lines.push({ at: now(), msg });
    }
  }
}
